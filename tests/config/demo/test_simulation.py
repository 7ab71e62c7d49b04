"""The plant ages: damage only grows, failures end it, and the same seed tells the same story."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest

from config.demo.build import build_item
from config.demo.history import HISTORY_DAYS, history_days
from config.demo.operation import COMMISSIONED
from config.demo.plant import FAMILIES, LAYOUT, POSITIONS
from config.demo.simulation import STEP_DAYS, Simulation, item_build


def _failures_a_year(simulations: Sequence[Simulation], *, family: str, cutters: set[str]) -> float:
    """Failures of a family a year of service of items made with one of the cutters; running items count as service."""
    failures = days = 0.0
    for simulation in simulations:
        failed = {(h.train, h.column, h.number) for h in simulation.happenings if h.kind == "failure"}
        for stint in simulation.stints():
            build = item_build(seed=simulation.seed, train=stint.train, column=stint.column, number=stint.number)
            if POSITIONS[stint.column].family == family and build.record["cutter"] in cutters:
                days += (simulation.day if stint.end is None else stint.end) - stint.start
                failures += (stint.train, stint.column, stint.number) in failed
    return failures / days * 365


def test_damage_never_heals_while_an_item_is_installed(simulation: Simulation) -> None:
    days = history_days()
    severity = simulation.snapshot(days).severity
    for stint in simulation.stints():
        end = days[-1] if stint.end is None else stint.end - STEP_DAYS
        inside = (days > stint.start + STEP_DAYS) & (days < end)
        assert (np.diff(severity[inside, stint.train, stint.column]) >= -1e-9).all()


def test_about_sixty_failures_and_five_families_to_learn_from(simulation: Simulation) -> None:
    failures = Counter(
        POSITIONS[h.column].family for h in simulation.happenings if h.kind == "failure" and h.start > -HISTORY_DAYS
    )
    assert 50 <= failures.total() <= 75
    assert {family for family, count in failures.items() if count >= 8} >= {
        "bearing", "pump_bearing", "seal", "filter", "impeller",
    }  # fmt: skip


def test_a_few_parts_are_bad_today_and_most_are_fine(simulation: Simulation) -> None:
    today = simulation.snapshot(np.asarray([0.0]))
    assert today.running.tolist() == [[1.0, 1.0]]
    assert today.present.all()
    assert 1 <= (today.severity > 0.9).sum() <= 4
    assert 4 <= (today.severity > 0.7).sum() <= 12
    assert np.median(today.severity) < 0.35


def test_items_follow_one_another_at_a_position_without_overlap(simulation: Simulation) -> None:
    for train, column in np.ndindex(2, len(POSITIONS)):
        stints = [s for s in simulation.stints() if (s.train, s.column) == (train, column)]
        assert [s.number for s in stints] == list(range(1, len(stints) + 1))
        assert stints[0].start == COMMISSIONED
        assert stints[-1].end is None
        for before, after in pairwise(stints):
            assert before.end is not None
            assert before.start < before.end < after.start


def test_every_failure_ends_an_installation_and_takes_its_downtime(simulation: Simulation) -> None:
    ends = {(s.train, s.column, s.number): s.end for s in simulation.stints()}
    for happening in simulation.happenings:
        assert happening.end >= happening.start
        if happening.kind in ("failure", "preventive"):
            assert ends[happening.train, happening.column, happening.number] == happening.start
            family = FAMILIES[POSITIONS[happening.column].family]
            assert happening.mode in (*family.modes, "")


@pytest.mark.full
def test_the_same_seed_tells_the_same_story_and_another_seed_another() -> None:
    stories = []
    for seed in (5, 5, 6):
        simulation = Simulation(seed)
        simulation.run(until=COMMISSIONED + 400)
        stories.append((simulation.happenings, simulation.snapshot(np.asarray([simulation.day])).severity.tolist()))
    assert stories[0] == stories[1]
    assert stories[0] != stories[2]


def test_running_further_changes_nothing_of_the_past() -> None:
    short, long = Simulation(3), Simulation(3)
    short.run(until=COMMISSIONED + 200)
    long.run(until=COMMISSIONED + 500)
    days = np.arange(COMMISSIONED, COMMISSIONED + 200, 0.25)
    assert (short.snapshot(days).severity == long.snapshot(days).severity).all()
    assert (short.snapshot(days).load == long.snapshot(days).load).all()


def test_items_of_the_bad_cutter_bear_less_by_their_record() -> None:
    builds = [build_item(seed=1, tag="U1-GBX-BIN", number=n, family="bearing") for n in range(1, 400)]
    good = [b.capacity for b in builds if b.record["cutter"] in ("C3", "C5")]
    bad = [b.capacity for b in builds if b.record["cutter"] == "C7"]
    assert np.mean(bad) / np.mean(good) == pytest.approx(0.84 / 1.01, abs=0.01)
    assert max(bad) < min(good)


@pytest.mark.full
def test_bearings_of_the_bad_cutter_fail_more_often(simulation: Simulation) -> None:
    other = Simulation(12)
    other.run(until=0.0)
    bad = _failures_a_year([simulation, other], family="bearing", cutters={"C7"})
    good = _failures_a_year([simulation, other], family="bearing", cutters={"C3", "C5"})
    assert bad > 1.4 * good


def test_a_missing_part_stops_its_train_and_a_missing_pump_only_loads_the_other(simulation: Simulation) -> None:
    days = history_days()
    seen = simulation.snapshot(days)
    bearing = LAYOUT.column["GEN-BDE"]
    assert (seen.running[seen.present[:, 0, bearing] == 0, 0] == 0).all()
    impeller = LAYOUT.column["CPA-IMP"]
    alone = (seen.present[:, 0, impeller] == 0) & (seen.running[:, 0] == 1)
    assert alone.any()
    assert set(seen.duty[alone, 0, 0]) == {0.0}
    assert set(seen.duty[alone, 0, 1]) == {1.0}
