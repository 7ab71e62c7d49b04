"""Intake: names become sensors by rule, good rows are kept where they may be, and bad ones become dead letters."""

from __future__ import annotations

import json
import threading
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection

from assets.models import Asset, Sensor
from assets.services import NewAsset, create_assets, create_sensors
from twins.models import Batch, DeadLetter, LetterForm, SeriesRule
from twins.selectors.readings import scan_readings
from twins.services import letters, series
from twins.services.intake import Acceptance, Origin, answered, answered_before, send_again, take_in
from twins.sources import decode_json, decode_lines, parse_series

NOW = datetime(2026, 6, 1, tzinfo=UTC)
US = 1_780_272_000_000_000
JSON = Origin("token gateway")
LINES = Origin("token gateway", "plant", LetterForm.LINE, "us")


@pytest.fixture
def sensor(transactional_db: None) -> Sensor:
    top = create_assets(rows=[NewAsset(tag="P-1", name="Pump", level="product")])["P-1"]
    return create_sensors(sensors=[Sensor(asset=top, name="flow", quantity="flow", valid_min=0.0, valid_max=100.0)])[0]


def lines(text: str, origin: Origin = LINES, **options: Any) -> Acceptance:
    return answered(
        take_in(decoded=decode_lines(text.encode(), precision="us", now=US), origin=origin, now=NOW, **options)
    )


def rows(*values: Any, sensor: Any, **options: Any) -> Acceptance:
    content = [
        {"sensor": str(sensor), "time": f"2026-05-01T00:00:{n:02}Z", "value": value} for n, value in enumerate(values)
    ]
    return answered(take_in(decoded=decode_json(json.dumps(content).encode()), origin=JSON, now=NOW, **options))


def kept(sensor: Sensor) -> list[float]:
    return scan_readings(sensors=[sensor.pk])["value"].to_pylist()


@pytest.mark.parametrize(
    ("line", "place"),
    [
        ("P-1 flow=1", ("P-1", "flow")),
        ("flow,asset=P-1 value=1", ("P-1", "flow")),
        ("pump,asset=P-1 flow=1", ("P-1", "flow")),
        ("m,asset=P-1,sensor=flow x=1", ("P-1", "flow")),
        (r"m,asset=A/1.b,sensor=a\ b\,c value=1", ("A/1.b", "a b,c")),
    ],
)
def test_without_a_rule_a_series_is_found_by_asset_or_measurement_and_sensor_or_field(
    line: str, place: tuple[str, str]
) -> None:
    name = decode_lines(line.encode(), now=US).spelt[0].as_py()
    assert series.place(parse_series(name), SeriesRule()) == place


def test_the_most_special_rule_of_a_source_names_the_sensor(sensor: Sensor) -> None:
    for source, bucket, template in [
        ("", "", "no"), ("", "plant", "{tag}"), ("token gateway", "", "{measurement}.{field}"),
        ("token gateway", "plant", "{measurement}"), ("token other", "plant", "no"),
    ]:  # fmt: skip
        SeriesRule.objects.create(source=source, bucket=bucket, asset="{machine|host}-1", sensor=template)
    assert lines("flow,host=P,tag=flow v=7 5").accepted == 1
    assert kept(sensor) == [7.0]
    Sensor.objects.create(asset=sensor.asset, name="flow.v", quantity="x")
    assert lines("flow,host=P v=7 5", Origin("token gateway", "other", LetterForm.LINE, "us")).accepted == 1
    assert lines("m,machine=P,tag=flow v=8 6", Origin("token x", "plant", LetterForm.LINE, "us")).accepted == 1
    assert kept(sensor) == [7.0, 8.0]


def test_a_tag_that_stands_in_two_trees_names_no_asset_unless_the_rule_says_where(sensor: Sensor) -> None:
    create_assets(
        rows=[
            NewAsset(tag="R2", name="other", level="system"),
            NewAsset(tag="P-1", name="x", level="part", parent="R2"),
        ]
    )
    assert lines("P-1 flow=1 5").rejected == 1
    SeriesRule.objects.create(below=sensor.asset)
    series.RULES.forget()
    assert lines("P-1 flow=1 5").accepted == 1


def test_good_lines_are_kept_beside_bad_ones_which_become_dead_letters(sensor: Sensor) -> None:
    answer = lines("P-1 flow=1 5\nP-1 flow=x\nP-9 flow=3 6\nP-1 flow=101 7\nP-1 flow=4 8")

    batch = Batch.objects.get()
    assert (answer.batch, answer.accepted, answer.rejected, answer.repeated) == (batch.pk, 2, 3, False)
    assert (batch.rows, batch.rejected) == (2, 3)
    reasons = [
        (1, "has the value 'x', which is no number, truth value or quoted text"),
        (2, "sensor P-9 flow is not in the register"),
        (3, "the value 101 is above 100, the most there is"),
    ]
    assert [(one.index, one.reason) for one in answer.rejects] == reasons
    found = DeadLetter.objects.order_by("position")
    assert [(one.position, one.reason) for one in found] == reasons
    assert [one.content for one in found] == ["P-1 flow=x", "P-9 flow=3 6", "P-1 flow=101 7"]
    assert {(one.source, one.bucket, one.form, one.precision, one.batch) for one in found} == {
        ("token gateway", "plant", "line", "us", batch.pk)
    }
    assert kept(sensor) == [1.0, 4.0]


def test_rows_are_refused_whole_unless_the_request_or_the_rule_says_otherwise(sensor: Sensor) -> None:
    assert rows(1.0, 200.0, sensor=sensor.uuid).batch is None
    assert not Batch.objects.exists()
    assert [one.content for one in DeadLetter.objects.all()] == [
        json.dumps({"sensor": str(sensor.uuid), "time": "2026-05-01T00:00:01Z", "value": 200.0}, separators=(",", ":"))
    ]
    assert rows(1.0, 200.0, sensor=sensor.uuid, keep_good=True).accepted == 1
    SeriesRule.objects.create(keep_good=True)
    series.RULES.forget()
    assert rows(2.0, 200.0, sensor=sensor.uuid).accepted == 1
    SeriesRule.objects.update(keep_good=False)
    series.RULES.forget()
    assert lines("P-1 flow=3 5\nP-1 flow=x").batch is None
    assert kept(sensor) == [2.0]


def test_a_body_of_bad_rows_alone_is_no_batch(sensor: Sensor) -> None:
    answer = lines("P-9 flow=3 6")
    assert (answer.batch, answer.accepted, answer.rejected) == (None, 0, 1)
    assert not Batch.objects.exists()
    assert DeadLetter.objects.get().batch is None


def test_a_repeat_gets_the_first_answer_though_the_register_has_changed(sensor: Sensor) -> None:
    missing = uuid.uuid4()
    body = json.dumps(
        [{"sensor": str(one), "time": "2026-05-01T00:00:00Z", "value": 1.0} for one in (sensor.uuid, missing)]
    ).encode()

    def send() -> Acceptance:
        options: dict[str, Any] = {"key": "k", "fingerprint": "f" * 64, "keep_good": True}
        return answered(take_in(decoded=decode_json(body), origin=JSON, now=NOW, **options))

    first = send()
    create_sensors(sensors=[Sensor(uuid=missing, asset=sensor.asset, name="new", quantity="x")])

    assert (first.accepted, first.rejected) == (1, 1)
    assert send().repeated is True
    again = answered_before(origin=JSON, key="k", fingerprint="f" * 64)
    assert again is not None
    assert (again.batch, again.accepted, again.rejected, again.repeated) == (first.batch, 1, 1, True)
    assert [(one.index, one.reason) for one in again.rejects] == [(one.index, one.reason) for one in first.rejects]
    assert answered_before(origin=JSON, key="k", fingerprint="e" * 64) is None
    assert answered_before(origin=Origin("token other"), key="k", fingerprint="f" * 64) is None


def test_unknown_sensors_are_registered_where_the_rule_says(sensor: Sensor) -> None:
    missing = str(uuid.uuid4())
    SeriesRule.objects.create(register_unknown=True, below=sensor.asset)
    assert lines("P-1 speed=5 5\nP-1 speed=6 6\nfan,asset=F-1 speed=7 5").accepted == 3
    assert rows(1.0, sensor=missing).accepted == 1
    found = {one.name: scan_readings(sensors=[one.pk])["value"].to_pylist() for one in Sensor.objects.all()}
    assert found == {"flow": [], "speed": [5.0, 6.0], "F-1/speed": [7.0], missing: [1.0]}
    assert set(Sensor.objects.values_list("asset__tag", flat=True)) == {"P-1"}
    assert not DeadLetter.objects.exists()
    assert lines("fan,asset=F-1 speed=8 6").accepted == 1
    assert Sensor.objects.count() == 4


def test_two_requests_that_register_the_same_sensor_make_one(sensor: Sensor) -> None:
    SeriesRule.objects.create(register_unknown=True)
    gate, answers = threading.Barrier(3), []

    def send(number: int) -> None:
        gate.wait()
        try:
            answers.append(lines(f"P-1 speed={number} {number}").accepted)
        finally:
            connection.close()

    threads = [threading.Thread(target=send, args=[number]) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [1, 1, 1]
    assert kept(Sensor.objects.get(name="speed")) == [0.0, 1.0, 2.0]


def test_letters_are_sent_again_once_their_reason_is_gone(sensor: Sensor) -> None:
    missing = uuid.uuid4()
    lines("P-1 speed=5 5\nP-1 speed=6\nP-1 flow=x")
    rows(9.0, sensor=missing)
    create_sensors(
        sensors=[
            Sensor(asset=sensor.asset, name="speed", quantity="x"),
            Sensor(uuid=missing, asset=sensor.asset, name="new", quantity="x"),
        ]
    )
    received = DeadLetter.objects.get(content="P-1 speed=6").received_at

    assert send_again(letters=list(DeadLetter.objects.all())) == (3, 1)

    assert [one.content for one in DeadLetter.objects.all()] == ["P-1 flow=x"]
    speed = scan_readings(sensors=[Sensor.objects.get(name="speed").pk])
    assert speed["value"].to_pylist() == [5.0, 6.0]
    assert speed["time"].to_pylist()[1] == received
    assert kept(Sensor.objects.get(name="new")) == [9.0]


def test_only_the_newest_letters_are_kept(sensor: Sensor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(letters, "MOST", 5)
    for number in range(4):
        lines("\n".join(f"P-9 flow={number} {row}" for row in range(3)))
    assert [one.content for one in DeadLetter.objects.order_by("id")] == [
        "P-9 flow=2 1", "P-9 flow=2 2", "P-9 flow=3 0", "P-9 flow=3 1", "P-9 flow=3 2",
    ]  # fmt: skip


def test_a_row_with_a_character_that_postgresql_does_not_keep_is_a_letter_all_the_same(sensor: Sensor) -> None:
    assert lines("P-1\x00 flow=3 6").rejected == 1
    assert DeadLetter.objects.get().content == "P-1� flow=3 6"


def test_a_known_series_costs_no_statement_of_its_own(sensor: Sensor, django_assert_num_queries: Any) -> None:
    lines("P-1 flow=1 5")
    assert Asset.objects.count() == 1
    with django_assert_num_queries(1):
        lines("P-1 flow=2 6")
    with django_assert_num_queries(1):
        lines("P-1 flow=3 7", key="k")
