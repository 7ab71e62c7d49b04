"""Readings: they end at the origin, fall silent with the part and show symptoms of damage."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from config.demo.degradation import Array, Mask
from config.demo.history import HISTORY_DAYS, SEED, grid, history_days, measure_history, readings_table
from config.demo.plant import LAYOUT
from config.demo.signals import Instruments
from config.demo.simulation import Simulation

ORIGIN = datetime(2026, 3, 1, 14, 37, 5, tzinfo=UTC)


@pytest.fixture(scope="module")
def measured(simulation: Simulation) -> tuple[Array, Mask]:
    return measure_history(simulation)


def _of(values: Array, tag: str, name: str) -> Array:
    return np.asarray(values[:, LAYOUT.sensor_index[tag, name]])


def test_two_years_every_four_hours_end_at_the_origin(simulation: Simulation, measured: tuple[Array, Mask]) -> None:
    values, there = measured
    assert values.shape == there.shape == (730 * 6 + 1, 249)
    table = readings_table(
        origin=ORIGIN, days=history_days(), values=values, there=there, sensors=np.arange(1, 250, dtype=float)
    )
    times = table["time"].unique().to_pylist()
    assert max(times) == ORIGIN
    assert min(times) == ORIGIN - timedelta(days=HISTORY_DAYS)
    assert {(ORIGIN - t) % timedelta(hours=4) for t in times} == {timedelta(0)}
    assert table.num_rows == there.sum()
    assert 0.95 < there.mean() < 0.999


def test_no_reading_between_a_failure_and_the_next_item(simulation: Simulation, measured: tuple[Array, Mask]) -> None:
    days, there = history_days(), measured[1]
    gaps = 0
    for happening in simulation.happenings:
        if happening.kind == "repair":
            continue
        absent = (days >= happening.start) & (days < happening.end)
        own = [i for i, p in enumerate(LAYOUT.sensors) if (p.train, p.column) == (happening.train, happening.column)]
        assert not there[np.ix_(absent, own)].any()
        gaps += absent.sum()
    assert gaps > 100


def test_values_are_finite_and_whole_steps_within_the_sensors_limits(measured: tuple[Array, Mask]) -> None:
    values = measured[0]
    for i, place in enumerate(LAYOUT.sensors):
        column = values[:, i]
        assert np.isfinite(column).all()
        assert column.min() >= place.spec.low
        assert column.max() <= place.spec.high
        steps = column / place.spec.resolution
        assert np.abs(steps - np.round(steps)).max() < 1e-3


def test_a_train_at_rest_is_seen_at_rest(simulation: Simulation, measured: tuple[Array, Mask]) -> None:
    values = measured[0]
    rest = simulation.snapshot(history_days()).running[:, 0] == 0
    assert 50 < rest.sum() < 600
    assert _of(values, "U1", "load")[rest].max() < 1.0
    assert _of(values, "U1-GEN-BDE", "vibration")[rest].max() < 0.2
    assert _of(values, "U1-GEN-BDE", "vibration")[~rest].min() > 0.5


def test_symptoms_follow_damage(simulation: Simulation, measured: tuple[Array, Mask]) -> None:
    values, there = measured
    seen = simulation.snapshot(history_days())
    for tag, name in (
        ("TUR-BDE", "envelope"), ("GBX-BOU", "vibration"), ("TUR-SEA", "leakage"), ("CPB-STR", "differential_pressure"),
        ("CPA-IMP", "vibration"), ("GEN-STW", "partial_discharge"),
    ):  # fmt: skip
        number = LAYOUT.sensor_index[f"U1-{tag}", name]
        ok = there[:, number] & (seen.duty[:, 0].min(axis=1) > 0)
        damage = seen.severity[ok, 0, LAYOUT.column[tag]]
        bad, fresh = damage > np.quantile(damage, 0.97), damage < np.quantile(damage, 0.3)
        assert np.median(values[ok, number][bad]) > 1.4 * np.median(values[ok, number][fresh])


def test_the_same_seed_gives_the_same_bytes(simulation: Simulation, measured: tuple[Array, Mask]) -> None:
    again = measure_history(simulation)
    assert (again[0] == measured[0]).all()
    assert (again[1] == measured[1]).all()


def test_one_second_shows_what_the_history_ends_with(simulation: Simulation, measured: tuple[Array, Mask]) -> None:
    second, _ = Instruments(simulation, SEED).read(np.asarray([0.0]), np.random.default_rng(0))
    assert second.shape == (1, 249)
    for tag, name, noise in (("U1", "speed", 10), ("U1-TUR-BDE", "temperature", 4), ("U2-GEN-BRU", "length", 1)):
        assert _of(second, tag, name)[0] == pytest.approx(_of(measured[0], tag, name)[-1], abs=noise)


def test_the_grid_goes_on_where_it_stopped() -> None:
    assert grid(first=0.0, last=0.5).tolist() == pytest.approx([1 / 6, 2 / 6, 3 / 6])
    assert grid(first=1 / 6, last=0.49).tolist() == pytest.approx([2 / 6])
    assert grid(first=0.1, last=0.12).tolist() == []
