"""Other fleets on the same code: six regimes, other units, other rates, other ways of failing, few failures."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from twins.exceptions import NotEnoughFailures
from twins.ml import DAY, Input, Life, Readings, predict, trace, train

MINUTE = DAY // 1440
REGIMES = np.array([[0, 0.0, 100], [10, 0.25, 100], [20, 0.7, 100], [25, 0.62, 60], [35, 0.84, 100], [42, 0.84, 100]])


@dataclass(frozen=True)
class Made:
    lives: list[Life]
    columns: list[tuple[int, np.ndarray, np.ndarray]]
    step: float


def make(
    *,
    failed: int = 30,
    running: int = 6,
    regimes: bool = True,
    scale: float = 1.0,
    minutes: bool = False,
    seed: int = 0,
) -> Made:
    """Missions in random regimes; two ways of failing; six inputs whose level and gain follow the regime, two of noise.

    Counted in cycles with irregular hours between them, or in days with irregular minutes. Wear begins somewhere.
    """
    rng = np.random.default_rng(seed)
    gain, level = rng.uniform(0.5, 2, (6, 8)), rng.uniform(-40, 40, (6, 8))
    ways = np.array([[1, 1, -1, 0, 0, 0.5, 0, 0], [0, -1, 0, 1, 1, 0.5, 0, 0]])
    lives, columns = [], []
    for number in range(failed + running):
        lasts = int(rng.integers(90, 160))
        seen = lasts if number < failed else int(lasts * rng.uniform(0.4, 0.9))
        unit = MINUTE if minutes else DAY // 24
        times = np.cumsum(rng.uniform(0.5, 1.5, seen) * unit).astype(np.int64) + DAY
        onset = rng.uniform(0.2, 0.5) * lasts
        wear = np.maximum(np.arange(seen) - onset, 0) / (lasts - onset)
        regime = rng.integers(0, 6, seen) if regimes else np.zeros(seen, np.int64)
        value = np.expm1(2 * wear)[:, None] * ways[number % 2] + rng.normal(0, 0.5, (seen, 8))
        value = (value * gain[regime] + level[regime]) * scale
        setting = REGIMES[regime] + rng.normal(0, 0.002, (seen, 3))
        first = 20 * number + 1
        columns += [(first + k, times, value[:, k]) for k in range(8)]
        columns += [(first + 8 + k, times, setting[:, k]) for k in range(3)]
        columns.append((first + 11, times, np.arange(1.0, seen + 1)))
        inputs = tuple(Input(name=f"x{k}", sensor=first + k) for k in range(8))
        inputs += tuple(Input(name=f"setting {k}", sensor=first + 8 + k, role="setting") for k in range(3))
        usage = None if minutes else first + 11
        end = int(times[-1])
        lives.append(
            Life(key=number, group=number, start=DAY, end=end, failed=number < failed, inputs=inputs, usage=usage)
        )
    return Made(lives, columns, 1 / 1440 if minutes else 1.0)


@pytest.fixture
def taught(tables):
    """Train on a made fleet; its error on unseen items as a share of a constant's, and the training."""

    def teach(made: Made, horizon: float = 80.0, **options):
        training = train(made.lives, Readings(tables(made.columns)), horizon=horizon * made.step, seed=0, **options)
        return training.metrics["rmse"] / training.metrics["rmse_of_a_constant"], training

    return teach


def test_six_regimes_are_found_and_hardly_cost_anything(taught) -> None:
    one, _ = taught(make(regimes=False))
    six, training = taught(make())
    assert len(training.model.normaliser.codes) == 6
    assert six < 0.45
    assert six < one + 0.1
    assert 0.7 < training.metrics["coverage_80"] < 0.9


@pytest.mark.full
@pytest.mark.parametrize("scale", [1e6, 1e-6])
def test_units_do_not_matter(taught, scale: float) -> None:
    plain, _ = taught(make())
    scaled, _ = taught(make(scale=scale))
    assert scaled == pytest.approx(plain, abs=0.02)


@pytest.mark.full
def test_lives_of_minutes_are_learned_like_lives_of_cycles(taught) -> None:
    minutes, training = taught(make(minutes=True))
    assert minutes < 0.5
    assert training.model.columns.step == pytest.approx(1 / 1440, rel=0.1)


def test_few_failures_and_many_that_run_are_learned_with_an_interval(taught) -> None:
    few, training = taught(make(failed=6, running=30))
    assert few < 0.8
    assert training.refusal == ""
    assert training.metrics["failures"] == 6


@pytest.mark.parametrize("failures", [0, 1, 2, 4])
def test_hardly_any_failure_is_said_with_its_number(taught, failures: int) -> None:
    with pytest.raises(NotEnoughFailures, match=f"^{failures} recorded failures"):
        taught(make(failed=failures, running=10))


@pytest.mark.full
def test_a_fleet_in_which_all_failed_is_learned(taught) -> None:
    assert taught(make(failed=20, running=0))[0] < 0.5


def test_inputs_that_never_change_teach_nothing_and_are_said(tables) -> None:
    made = make(failed=8, running=0)
    columns = [(s, t, np.full(len(t), 5.0) if s % 20 in range(1, 9) else v) for s, t, v in made.columns]
    with pytest.raises(NotEnoughFailures, match=r"None of the 8 inputs ever changed in any of 8 lives.*stand still"):
        train(made.lives, Readings(tables(columns)), horizon=None, seed=0)


@pytest.fixture(scope="module")
def trained(tables):
    made = make(seed=4)
    return made, train(made.lives, Readings(tables(made.columns)), horizon=80.0, seed=0).model


def _said(tables, made: Made, model, spoil):
    """Healthy running lives in their middle, with and without spoiled readings of input x0 in the last third."""
    lives, traces = [], {False: [], True: []}
    for life in made.lives[:12]:
        times = next(t for s, t, _ in made.columns if s == life.inputs[0].sensor)
        cut = replace(
            life,
            end=int(times[60]),
            failed=False,
            inputs=tuple(replace(known, interval=5400.0) for known in life.inputs),
        )
        lives.append(cut)
        for spoiled in (False, True):
            columns = []
            for s, t, v in made.columns:
                if s in {known.sensor for known in life.inputs} | {life.usage}:
                    late = t > times[40]
                    columns.append(spoil(s, t, v, late) if spoiled and s == life.inputs[0].sensor else (s, t, v))
            traces[spoiled].append(trace(cut, Readings(tables(columns)), model.columns))
    now = [life.end for life in lives]
    return [
        [predict(model, [life], [rows], now=at)[0] for life, rows, at in zip(lives, traces[kind], now, strict=True)]
        for kind in (False, True)
    ]


SPOILED = {
    "dies": lambda s, t, v, late: (s, t[~late], v[~late]),
    "freezes": lambda s, t, v, late: (s, t, np.where(late, v[~late][-1], v)),
    "changes unit": lambda s, t, v, late: (s, t, np.where(late, v * 1000, v)),
}


@pytest.mark.parametrize("how", SPOILED)
def test_a_spoiled_sensor_moves_coverage_and_hardly_health(tables, trained, how: str) -> None:
    made, model = trained
    whole, spoiled = _said(tables, made, model, SPOILED[how])
    moved = [b.health - a.health for a, b in zip(whole, spoiled, strict=True)]
    assert all(a.coverage == 1.0 for a in whole)
    assert all(b.coverage == pytest.approx(10 / 11) for b in spoiled)
    # A frozen value is believed three times before it is found out.
    assert abs(np.mean(moved)) < (15 if how == "freezes" else 8)
