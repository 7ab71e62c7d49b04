"""What stands beside the readings: leak-safe counts, and a build attribute that decides how long items live."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from twins.ml import DAY, predict, trace, train
from twins.ml.context import find_context


def test_events_count_from_the_moment_they_happened(fleet) -> None:
    begin = fleet.lives[0].start
    happened = ((begin + 2 * DAY, "inspection"), (begin + 5 * DAY, "inspection"), (begin + 5 * DAY, "order"))
    lives = [replace(life, happened=happened) for life in fleet.lives]
    context = find_context(lives, frozenset())
    assert context.names == ["number of inspection", "since inspection", "number of order", "since order"]
    times = begin + np.array([1, 2, 4, 5, 9]) * DAY
    said = context.of(lives, np.zeros(5, np.int64), times)
    nan = np.nan
    expected = np.array([[0, 1, 1, 2, 2], [nan, 0, 2, 0, 4], [0, 0, 0, 1, 1], [nan, nan, nan, 0, 4]])
    np.testing.assert_allclose(said.T, expected)
    # What happens later changes nothing said before.
    later = [replace(life, happened=(*happened, (begin + 7 * DAY, "inspection"))) for life in fleet.lives]
    assert context.of(later, np.zeros(4, np.int64), times[:4]) == pytest.approx(said[:4], nan_ok=True)


def test_what_names_single_items_is_left_out(fleet) -> None:
    lives = [
        replace(life, attributes=(("build batch", f"B{life.key}"), ("build cutter", f"C{life.key % 2}"), ("rev", 1.0)))
        for life in fleet.lives
    ]
    assert find_context(lives, frozenset()).names == ["build cutter = C0", "build cutter = C1"]
    assert find_context(lives, frozenset(["build cutter"])).names == []


@pytest.mark.full
def test_a_build_attribute_that_decides_is_used_and_named(fleets) -> None:
    """Inputs say nothing; half of the items, cut with C7, live half as long."""
    fleet = fleets(failed=40, running=0, informative=False, seed=6)
    rng = np.random.default_rng(0)
    lives = []
    for life in fleet.lives:
        short = bool(rng.integers(0, 2))
        lasts = rng.normal(18 if short else 36, 1.5)
        attributes = (("build cutter", "C7" if short else "C8"),)
        lives.append(replace(life, end=int(life.start + lasts * DAY), attributes=attributes))
    blind = train([replace(life, attributes=()) for life in lives], fleet.readings, horizon=30.0, seed=0)
    seeing = train(lives, fleet.readings, horizon=30.0, seed=0)
    assert seeing.model.context.names == ["build cutter = C7", "build cutter = C8"]
    assert seeing.metrics["rmse"] < 0.8 * blind.metrics["rmse"]
    young = [replace(life, end=life.start + 10 * DAY, failed=False) for life in lives]
    traces = [trace(life, fleet.readings, seeing.model.columns) for life in young]
    said = predict(seeing.model, young, traces, now=young[0].end)
    short = [one for one, life in zip(said, lives, strict=True) if life.attributes[0][1] == "C7"]
    assert all(one.drivers[0].input.startswith("build cutter") and one.drivers[0].points < 0 for one in short)


def test_what_does_not_help_is_not_used(fleet) -> None:
    rng = np.random.default_rng(1)
    lives = [replace(life, attributes=(("build weight", float(rng.normal())),)) for life in fleet.lives]
    plain = train(fleet.lives, fleet.readings, horizon=30.0, seed=0)
    assert train(lives, fleet.readings, horizon=30.0, seed=0).model.life_left == plain.model.life_left
