"""Readings are watched as they arrive; what is found is stored once, whatever is repeated, late or killed."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from numba.core import event

from assets.models import Sensor
from twins import events, tasks
from twins.ml.anomaly import Stored, load_states
from twins.ml.compiled import FOR_WORKERS, loops
from twins.ml.states import AT_BLOCKS, AT_COUNT
from twins.models import Correction, Finding, SensorState
from twins.selectors import watching as selectors
from twins.selectors.watching import never_watched, newly_read, unsound_sensors
from twins.services import compaction, watching
from twins.services.compaction import compact_hot_tail
from twins.services.ingestion import accept_readings
from twins.services.watching import notice_silence, prune_findings, watch_arrivals, watch_due, watch_new

from ..conftest import NOW

MINUTE = timedelta(minutes=1)
START = NOW - timedelta(days=3)


@pytest.fixture(autouse=True)
def _own_state(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "_listeners", defaultdict(list))
    monkeypatch.setattr(watching, "_walk", watching._Walk())


@pytest.fixture
def send(accept):
    def rows(sensor: int, values: Any, start=START) -> None:
        accept([(sensor, start + number * MINUTE, float(value)) for number, value in enumerate(values)])
        while compact_hot_tail():
            pass

    return rows


def noisy(count: int) -> np.ndarray:
    return 50 + np.random.default_rng(1).normal(0, 0.3, count)


def found() -> list[tuple[str, int, int | None]]:
    """Kind, and minutes of beginning and end."""
    rows = Finding.objects.exclude(kind="novelty").order_by("started_at", "kind")
    return [
        (
            row.kind,
            (row.started_at - START) // MINUTE,
            None if row.ended_at is None else (row.ended_at - START) // MINUTE,
        )
        for row in rows
    ]


def test_a_sensor_is_looked_at_once_for_what_is_new(sensor_keys, send) -> None:
    send(sensor_keys[0], noisy(500))
    told = []
    events.listen("findings", told.append)
    assert watch_arrivals(now=NOW) == 1
    assert watch_arrivals(now=NOW) == 0
    state = SensorState.objects.get()
    assert (state.sensor_id, state.until) == (sensor_keys[0], START + 499 * MINUTE)
    send(sensor_keys[0], [50.0, 51.0], START + 500 * MINUTE)
    assert watch_arrivals(now=NOW) == 1


def test_what_is_new_is_stored_beside_a_state_and_counts_as_if_all_came_at_once(sensor_keys, send) -> None:
    one, other = sensor_keys[:2]
    values = noisy(1200)
    values[300:400] = 50.0
    send(one, values[:200])
    watch_arrivals(now=NOW)
    whole = bytes(SensorState.objects.get().state)
    for start in range(200, 1200, 250):
        send(one, values[start : start + 250], START + start * MINUTE)
        assert watch_arrivals(now=NOW) == 1
        state = SensorState.objects.get()
        # After 1,000 readings, 250 means, they are too many to stand beside it.
        assert (bytes(state.state) == whole, state.recent == b"") == ((True, False) if start < 950 else (False, True))
    send(other, values)
    watch_arrivals(now=NOW)

    rows = SensorState.objects.order_by("sensor")
    stored = load_states([Stored(bytes(row.state), bytes(row.recent)) for row in rows])
    assert stored.rows[0].tolist() == stored.rows[1].tolist()
    told = Finding.objects.order_by("started_at", "kind").values_list("kind", "started_at", "ended_at", "value")
    assert list(told.filter(sensor=one)) == list(told.filter(sensor=other))
    assert told.filter(sensor=one).count() >= 1


def test_no_task_compiles_anything_once_the_loops_are_ready(sensor_keys, readings_of) -> None:
    for one in loops(*FOR_WORKERS):
        one.prepare()
    now = timezone.now()
    with event.install_recorder("numba:compile") as compiled:
        for start in (now - 600 * MINUTE, now - 300 * MINUTE):  # of what goes on a part is written, and read again
            rows = [(key, start + n * MINUTE, n % 7.0) for key in sensor_keys for n in range(300)]
            accept_readings(readings=readings_of(rows), source="gateway", now=now)
            while compact_hot_tail():
                pass
            for task in (tasks.watch_arrivals, tasks.notice_silence, tasks.assess_stale, tasks.compact_days):
                task()
    assert SensorState.objects.exclude(recent=b"").count() == len(sensor_keys)
    assert compiled.buffer == []


def test_a_flat_line_and_a_limit_begin_and_end(sensor_keys, send) -> None:
    values = noisy(1000)
    values[300:400] = 50.0
    values[600:620] = 65 + values[600:620] / 100
    send(sensor_keys[0], values[:350])
    watch_arrivals(now=NOW)
    assert found() == [("flat_line", 300, None)]
    assert unsound_sensors(sensor_keys) == {sensor_keys[0]}
    send(sensor_keys[0], values[350:], START + 350 * MINUTE)
    # Acceptance refuses what lies outside; what came in before the limit was set is found here.
    Sensor.objects.filter(pk=sensor_keys[0]).update(valid_max=60.0)
    watch_arrivals(now=NOW)
    assert found() == [("flat_line", 300, 400), ("limit", 600, 620)]
    assert unsound_sensors(sensor_keys) == set()


def test_silence_is_found_by_the_clock_and_ended_by_a_reading(sensor_keys, send) -> None:
    Sensor.objects.filter(pk=sensor_keys[0]).update(expected_interval=60)
    send(sensor_keys[0], noisy(100))
    watch_arrivals(now=NOW)
    assert notice_silence(now=START + 105 * MINUTE) == 0
    assert notice_silence(now=START + 120 * MINUTE) == 1
    assert notice_silence(now=START + 200 * MINUTE) == 0
    assert found() == [("gap", 99, None)]
    send(sensor_keys[0], [50.0], START + 300 * MINUTE)
    watch_arrivals(now=NOW)
    assert found() == [("gap", 99, 300)]


def test_of_who_is_merely_slow_no_whole_state_is_read_each_minute(sensor_keys, send) -> None:
    Sensor.objects.filter(pk=sensor_keys[0]).update(expected_interval=60)
    for key in sensor_keys[:2]:
        send(key, noisy(10))  # of the second, without an interval, too few to tell
    watch_arrivals(now=NOW)
    with CaptureQueriesContext(connection) as queries:
        assert notice_silence(now=START + 19 * MINUTE) == 0
    assert not any("state, recent" in query["sql"] for query in queries)
    assert notice_silence(now=START + 20 * MINUTE) == 1
    changed = SensorState.objects.exclude(recent=b"").values_list("sensor", flat=True)
    assert (found(), list(changed)) == ([("gap", 9, None)], [sensor_keys[0]])


def test_killed_before_its_commit_it_repeats_and_counts_nothing_twice(sensor_keys, send, monkeypatch) -> None:
    values = noisy(600)
    values[300:400] = 50.0
    send(sensor_keys[0], values)

    class Killed(BaseException):
        pass

    store = watching._store

    def die(*given: Any) -> None:
        store(*given)
        raise Killed

    monkeypatch.setattr(watching, "_store", die)
    with pytest.raises(Killed):
        watch_arrivals(now=NOW)
    assert (SensorState.objects.count(), Finding.objects.count()) == (0, 0)
    monkeypatch.undo()
    watch_arrivals(now=NOW)
    once = (bytes(SensorState.objects.get().state), Finding.objects.count())
    send(sensor_keys[0], values)  # sent again under a new batch
    watch_arrivals(now=NOW)
    assert (bytes(SensorState.objects.get().state), Finding.objects.count()) == once


def test_a_clock_that_jumped_ahead_does_not_make_its_sensor_blind(sensor_keys, send) -> None:
    send(sensor_keys[0], noisy(100))
    send(sensor_keys[0], [50.0], START + 1000 * MINUTE)
    watch_arrivals(now=START + 100 * MINUTE)
    assert SensorState.objects.get().until == START + 100 * MINUTE
    values = noisy(200)
    values[50:150] = 50.0
    send(sensor_keys[0], values, START + 100 * MINUTE)
    watch_arrivals(now=START + 300 * MINUTE)
    assert ("flat_line", 150, 250) in found()


@pytest.mark.parametrize("wrong", ["stuck", "stuck until now", "out of range", "all"])
def test_what_was_overwritten_is_watched_as_if_it_had_never_been_there(sensor_keys, send, wrong) -> None:
    """The other sensor was read once, with what stands now."""
    one, other = both = sensor_keys[:2]
    right = noisy(1200)
    right[700:800] = 50.0
    first = right.copy()
    stretch = slice(900, 1200) if wrong == "stuck until now" else slice(400, 500)
    first[stretch] = 65 + noisy(100) if wrong == "out of range" else 50.0
    if wrong == "all":
        right = noisy(1200)
    send(one, first)
    Sensor.objects.filter(pk__in=both).update(valid_max=60.0)
    watch_arrivals(now=NOW)
    before = dict(Finding.objects.filter(sensor=one).values_list("started_at", "pk"))
    assert START + stretch.start * MINUTE in before

    send(one, right[stretch.start :], START + stretch.start * MINUTE)
    send(other, right)
    assert watch_arrivals(now=NOW) == 2
    assert watch_arrivals(now=NOW) == 0

    def of(sensor: int) -> Any:
        rows = Finding.objects.filter(sensor=sensor).order_by("started_at", "kind")
        state = SensorState.objects.get(sensor=sensor)
        return (
            list(rows.values_list("kind", "started_at", "ended_at", "value", "score")),
            state.until,
            bytes(state.state),
        )

    assert of(one) == of(other)
    assert unsound_sensors(sensor_keys) == set()
    if wrong != "all":
        assert ("flat_line", 700, 800) in found()
        kept = Finding.objects.get(sensor=one, kind="flat_line", started_at=START + 700 * MINUTE)
        assert wrong == "stuck until now" or kept.pk == before[kept.started_at]


def test_many_endings_of_one_round_end_what_began_before_each(sensor_keys, send) -> None:
    one, other = sensor_keys[:2]
    twice, once = noisy(450), noisy(450)
    twice[100:200], twice[250:350] = 50.0, 51.0
    once[50:150], once[400:] = 50.0, 52.0
    send(one, twice)
    send(other, once)

    assert watch_arrivals(now=NOW) == 2

    rows = Finding.objects.filter(kind="flat_line").order_by("sensor", "started_at")
    spans = [(row.sensor_id, row.started_at, row.ended_at) for row in rows]
    expected = [(one, 100, 200), (one, 250, 350), (other, 50, 150), (other, 400, None)]
    assert spans == [
        (sensor, START + begun * MINUTE, None if end is None else START + end * MINUTE)
        for sensor, begun, end in expected
    ]


@pytest.mark.parametrize("table", ["twins_sensorstate", "twins_patternstate"])
def test_nobody_tries_to_make_a_state_smaller(db: None, table: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT attstorage FROM pg_attribute WHERE attrelid = %s::regclass AND attname = 'state'", [table]
        )
        assert cursor.fetchall() == [("e",)]


def test_a_sensor_that_is_overwritten_all_the_time_is_taught_anew_once_an_hour(sensor_keys, send) -> None:
    send(sensor_keys[0], noisy(200))
    watch_arrivals(now=NOW)
    for number, watched in enumerate([1, 0, 0]):
        send(sensor_keys[0], [51.0 + number] * 5, START + 150 * MINUTE)
        assert watch_arrivals(now=NOW) == watched
    assert Correction.objects.filter(watched=False).count() == 1

    Correction.objects.filter(watched=True).update(found_at=timezone.now() - timedelta(minutes=61))
    assert watch_arrivals(now=NOW) == 1
    assert not Correction.objects.filter(watched=False).exists()


def test_a_correction_of_what_is_long_forgotten_changes_nothing_that_was_found(sensor_keys, send) -> None:
    values = noisy(400)
    values[100:200] = 50.0
    send(sensor_keys[0], values)
    watch_arrivals(now=NOW)
    state = bytes(SensorState.objects.get().state)
    send(sensor_keys[0], [51.0] * 50, START + 120 * MINUTE)
    later = NOW + timedelta(days=6)

    assert watch_arrivals(now=later) == 0
    assert (found(), bytes(SensorState.objects.get().state)) == ([("flat_line", 100, 200)], state)
    assert not Correction.objects.filter(watched=False).exists()


def test_while_much_is_about_to_become_files_a_look_is_put_off_but_not_for_long(
    sensor_keys, send, accept, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "_delay", watching._Delay())
    monkeypatch.setattr(compaction, "MUCH", 100)
    send(sensor_keys[0], noisy(50))
    accept([(sensor_keys[1], START + number * MINUTE, 1.0) for number in range(100)])
    assert [watch_due(now=NOW), watch_due(now=NOW)] == [0, 0]
    assert not SensorState.objects.exists()

    monkeypatch.setattr(watching, "PUT_OFF", 0.0)
    assert watch_due(now=NOW) == 1
    # From then on it may wait again.
    monkeypatch.setattr(watching, "PUT_OFF", 60.0)
    accept([(sensor_keys[0], START + 60 * MINUTE, 1.0)])
    assert watch_due(now=NOW) == 0
    while compact_hot_tail():
        pass
    assert watch_due(now=NOW) == 2


def test_a_look_goes_on_with_new_sensors_for_a_while(sensor_keys, send, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "_delay", watching._Delay())
    monkeypatch.setattr(watching, "NEW_A_ROUND", 1)
    for key in sensor_keys:
        send(key, noisy(50))
    monkeypatch.setattr(watching, "TAUGHT_WITHIN", 0.0)
    # One as ever, and one more, after which the time is over.
    assert (watch_due(now=NOW), SensorState.objects.count()) == (2, 2)

    monkeypatch.setattr(watching, "TAUGHT_WITHIN", 600.0)
    assert (watch_due(now=NOW), SensorState.objects.count()) == (3, 5)
    assert watch_due(now=NOW) == 0


def test_the_search_for_new_sensors_goes_on_where_it_was_and_begins_again_at_the_end(
    sensor_keys, send, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selectors, "WALKED", 2)
    for key in sensor_keys:
        send(key, noisy(5))
    assert never_watched(now=NOW, limit=1)[1] == sensor_keys[0]
    assert watch_arrivals(now=NOW) == 2  # no more were passed
    assert never_watched(now=NOW, limit=9) == ([], sensor_keys[1])
    assert [watch_new(now=NOW) for _ in range(4)] == [2, 1, 0, 0]

    # One whose state is taken away is new again, wherever the search is.
    SensorState.objects.filter(sensor=sensor_keys[0]).delete()
    assert [watch_new(now=NOW) for _ in range(3)] == [1, 0, 0]
    assert SensorState.objects.count() == len(sensor_keys) == 5


def test_the_search_finds_each_new_sensor_once_whoever_makes_it(sensor_keys, send, monkeypatch) -> None:
    """Two processes in turns, of which one begins anew and one loses its work."""
    monkeypatch.setattr(watching, "NEW_A_ROUND", 1)
    monkeypatch.setattr(selectors, "WALKED", 3)
    for key in sensor_keys:
        send(key, noisy(5))
    walks = [watching._Walk(), watching._Walk()]
    watched = []
    for turn in range(12):
        monkeypatch.setattr(watching, "_walk", walks[turn % 2])
        if turn == 2:
            with transaction.atomic():
                assert watch_new(now=NOW) == 1
                transaction.set_rollback(True)
        elif turn == 5:
            walks[1] = watching._Walk()
        else:
            watched.append(watch_new(now=NOW))
    assert (sum(watched), SensorState.objects.count()) == (5, 5)


def test_only_one_at_a_time(sensor_keys, send) -> None:
    from django.db import connections

    send(sensor_keys[0], noisy(100))
    other = connections.create_connection("default")
    try:
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s)", [watching._LOCK])
        assert watch_arrivals(now=NOW) == watch_new(now=NOW) == 0
        with other.cursor() as cursor:
            # A closed connection lets go of its lock only when the server notices.
            cursor.execute("SELECT pg_advisory_unlock(%s)", [watching._LOCK])
    finally:
        other.close()
    assert watch_arrivals(now=NOW) == 1


def test_the_longest_waiting_come_first_and_a_round_is_bounded(sensor_keys, send) -> None:
    for key in sensor_keys[:3]:
        send(key, noisy(50))
    assert watch_arrivals(now=NOW, limit=2) == 2
    assert [one.sensor for one in never_watched(now=NOW, limit=5)[0]] == [sensor_keys[2]]
    assert watch_arrivals(now=NOW, limit=2) == 1
    send(sensor_keys[1], [50.0], START + 60 * MINUTE)
    send(sensor_keys[0], [50.0], START + 50 * MINUTE)
    assert [one.sensor for one in newly_read(now=NOW, limit=5)] == sensor_keys[:2]


def test_a_sensor_is_taught_from_as_much_of_its_past_as_it_can_keep(sensor_keys, send) -> None:
    Sensor.objects.filter(pk=sensor_keys[0]).update(expected_interval=1.0)
    send(sensor_keys[0], noisy(1000), NOW - 1000 * MINUTE)
    watch_arrivals(now=NOW)
    [state] = load_states([Stored(bytes(SensorState.objects.get().state))]).rows
    assert (state[AT_BLOCKS], state[AT_COUNT]) == divmod(5_000 // 60, 4)


def test_a_sensor_whose_readings_are_all_too_old_to_teach_from_holds_up_nobody(sensor_keys, send) -> None:
    send(sensor_keys[0], [1.0, 2.0], NOW - timedelta(days=100))
    assert watch_arrivals(now=NOW) == 1
    assert watch_arrivals(now=NOW) == 0
    send(sensor_keys[1], [3.0], NOW - timedelta(days=1))
    assert watch_arrivals(now=NOW) == 1


def test_findings_are_kept_for_a_time(sensor_keys) -> None:
    asset = Sensor.objects.get(pk=sensor_keys[0]).asset
    with transaction.atomic():
        for number, (kind, ended) in enumerate([("gap", None), ("gap", NOW), ("novelty", None)]):
            Finding.objects.create(
                sensor_id=sensor_keys[number], asset=asset, kind=kind, started_at=START, ended_at=ended,
                value=1, score=1, found_at=NOW - timedelta(days=91),
            )  # fmt: skip
    assert prune_findings(now=NOW) == 2
    assert Finding.objects.get().kind == "gap"
