"""Acceptance: whole or not at all, once per key, and the newest batch stands."""

from __future__ import annotations

import threading
from collections import defaultdict
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from django.conf import settings
from django.db import connection, transaction

from twins import events, lake
from twins.exceptions import ConflictingKey, ReadingsError
from twins.models import Batch
from twins.services import ingestion
from twins.services.ingestion import accept_readings

T0 = datetime(2026, 5, 1, tzinfo=UTC)
S = timedelta(seconds=1)


@pytest.fixture(autouse=True)
def _own_listeners(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "_listeners", defaultdict(list))


def test_an_accepted_batch_is_one_row_that_says_what_it_holds(sensor_keys, accept) -> None:
    answer = accept([(sensor_keys[2], T0 + S, 2.0), (sensor_keys[0], T0, 1.0), (sensor_keys[2], T0 + S, 3.0)], key="k")

    row = Batch.objects.get()
    assert answer == ingestion.Acceptance(batch=row.pk, accepted=3)
    assert (row.source, row.key, row.rows_received, row.rows) == ("gateway", "k", 3, 2)
    assert (row.sensor_min, row.sensor_max) == (sensor_keys[0], sensor_keys[2])
    assert (row.time_min, row.time_max) == (T0, T0 + S)
    assert row.landing is None
    assert row.compacted_at is None
    assert row.bytes == len(row.body)
    assert lake.decode_body(row.body)["value"].to_pylist() == [1.0, 3.0]


def test_a_batch_with_one_faulty_row_leaves_nothing_behind(sensor_keys, accept) -> None:
    told = []
    events.listen("readings_accepted", told.append)
    answer = accept(
        [
            (sensor_keys[0], T0, 1.0),
            (sensor_keys[0] + 1000, T0, 1.0),
            (sensor_keys[1], T0, float("nan")),
            (sensor_keys[1], datetime(2026, 6, 2, 0, 0, 1, tzinfo=UTC), 1.0),
        ],
        key="k",
    )

    assert (answer.batch, answer.accepted, answer.rejected, answer.repeated) == (None, 0, 3, False)
    assert [(reject.index, reject.reason) for reject in answer.rejects] == [
        (1, f"sensor {sensor_keys[0] + 1000} is not registered"),
        (2, "the value is missing, or NaN"),
        (3, "the time is after 2026-06-02 00:00 UTC, in the future"),
    ]
    assert not Batch.objects.exists()
    assert told == []
    assert not list(lake.list_files(settings.TWINS["LAKE"]))
    assert accept([(sensor_keys[0], T0, 1.0)], key="k").accepted == 1


def test_no_rows_are_accepted_as_nothing(sensor_keys, accept) -> None:
    assert accept([], key="k") == ingestion.Acceptance(batch=None, accepted=0)
    assert not Batch.objects.exists()


def test_a_repeat_with_the_same_key_gets_the_first_answer(sensor_keys, accept) -> None:
    rows = [(sensor_keys[0], T0, 1.0), (sensor_keys[1], T0, 2.0)]
    first = accept(rows, key="k")
    accept([(sensor_keys[0], T0, 9.0)], key="other")

    again = accept(rows[::-1], key="k")

    assert again == ingestion.Acceptance(batch=first.batch, accepted=2, repeated=True)
    assert Batch.objects.count() == 2
    assert accept(rows, source="other gateway", key="k").repeated is False


def test_the_same_key_with_other_readings_is_an_error_and_changes_nothing(sensor_keys, accept, scanned) -> None:
    accept([(sensor_keys[0], T0, 1.0)], key="k")

    with pytest.raises(ConflictingKey, match="new key"):
        accept([(sensor_keys[0], T0, 2.0)], key="k")

    assert scanned(sensor_keys) == [(sensor_keys[0], T0, 1.0)]


def test_without_a_key_only_an_immediate_repeat_is_suppressed(sensor_keys, accept, scanned) -> None:
    a, b = [(sensor_keys[0], T0, 1.0)], [(sensor_keys[0], T0, 2.0)]
    first = accept(a)

    assert accept(a) == ingestion.Acceptance(batch=first.batch, accepted=1, repeated=True)
    accept(b)
    assert accept(a).repeated is False

    assert Batch.objects.count() == 3
    assert scanned(sensor_keys) == [(sensor_keys[0], T0, 1.0)]


def test_a_repeat_after_the_correction_of_another_source_stands(sensor_keys, accept, scanned) -> None:
    accept([(sensor_keys[0], T0, 1.0)], source="plc")
    accept([(sensor_keys[0], T0, 2.0)], source="laboratory")

    assert accept([(sensor_keys[0], T0, 1.0)], source="plc").repeated is False
    assert scanned(sensor_keys) == [(sensor_keys[0], T0, 1.0)]


def test_listeners_are_told_the_newest_reading_of_each_sensor_after_the_commit(sensor_keys, accept) -> None:
    told: list = []

    def listener(payload: dict) -> None:
        told.append((payload, connection.in_atomic_block, Batch.objects.count()))

    events.listen("readings_accepted", listener)
    answer = accept([(sensor_keys[1], T0, 1.5), (sensor_keys[0], T0 + S, 3.0), (sensor_keys[0], T0, 9.0)])
    accept([(sensor_keys[1], T0, 1.5), (sensor_keys[0], T0 + S, 3.0), (sensor_keys[0], T0, 9.0)])

    rows = [[sensor_keys[0], lake.microseconds(T0 + S), 3.0, 0], [sensor_keys[1], lake.microseconds(T0), 1.5, 0]]
    assert told == [({"batch": answer.batch, "rows": rows}, False, 1)]


def test_what_would_not_be_durable_on_return_is_refused(sensor_keys, accept) -> None:
    with pytest.raises(RuntimeError), transaction.atomic():
        accept([(sensor_keys[0], T0, 1.0)])
    assert not Batch.objects.exists()


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({"source": ""}, "source has 0"),
        ({"source": "g" * 201}, "source has 201"),
        ({"key": ""}, "key has 0"),
        ({"key": "k\x00"}, "NUL"),
    ],
)
def test_names_that_do_not_fit_are_refused(sensor_keys, accept, names, message) -> None:
    with pytest.raises(ReadingsError, match=message):
        accept([(sensor_keys[0], T0, 1.0)], **names)
    assert not Batch.objects.exists()


def test_a_big_body_lands_in_a_file_and_reads_the_same(sensor_keys, scanned) -> None:
    rows = 200_000
    # Values that do not compress, as a loader of history would never send them all at once.
    values = [((i * 2654435761) % 2**32) / 7 for i in range(rows)]
    times = pa.array(range(0, rows * 1_000_000, 1_000_000)).cast(pa.timestamp("us", "UTC"))
    table = pa.table({"sensor": pa.array([sensor_keys[0]] * rows), "time": times, "value": values})

    first = accept_readings(readings=table, source="loader", key="k")
    again = accept_readings(readings=table, source="loader", key="k")

    row = Batch.objects.get()
    assert row.body is None
    assert list(lake.list_files(settings.TWINS["LAKE"])) == [row.landing]
    assert (settings.TWINS["LAKE"] / row.landing).stat().st_size == row.bytes > ingestion.MAX_BODY
    assert (again.batch, again.repeated) == (first.batch, True)
    assert [value for _, _, value in scanned(sensor_keys)] == values


def test_of_two_at_once_with_one_key_one_is_the_repeat(sensor_keys, accept) -> None:
    answers = []
    gate = threading.Barrier(4)

    def send() -> None:
        gate.wait()
        try:
            answers.append(accept([(sensor_keys[0], T0, 1.0)], key="k"))
        finally:
            connection.close()

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert Batch.objects.count() == 1
    assert sorted(answer.repeated for answer in answers) == [False, True, True, True]
    assert {answer.batch for answer in answers} == {Batch.objects.get().pk}


def test_acceptance_takes_a_constant_number_of_statements(sensor_keys, accept, django_assert_num_queries) -> None:
    with django_assert_num_queries(2):  # known sensors, insert
        accept([(key, T0 + i * S, 1.0) for key in sensor_keys for i in range(50)], key="k")


@pytest.mark.parametrize("pooled", [False, True])
def test_a_pooler_that_hands_connections_on_is_left_no_plans(sensor_keys, accept, monkeypatch, pooled) -> None:
    monkeypatch.setitem(connection.settings_dict, "DISABLE_SERVER_SIDE_CURSORS", pooled)
    connection.close()
    for number in range(4):
        assert accept([(sensor_keys[0], T0 + number * S, 1.0)]).accepted == 1
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%INSERT INTO twins_batch%'")
        assert cursor.fetchone() == (0 if pooled else 1,)
    connection.close()
