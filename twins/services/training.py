"""Models of health are learned per design from recorded failures, kept with their proof, put in force or refused."""

from __future__ import annotations

import hashlib
import math
import platform
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import numpy
import pyarrow as pa
from django.db import transaction

from assets.models import Design
from twins import ml
from twins.exceptions import LeakingInputs, ModelRefused, PredictionError, PredictionUnavailable
from twins.lake import from_microseconds, microseconds
from twins.models import HealthModel, LearningPlan, ModelStatus
from twins.selectors.families import Family, families_of
from twins.selectors.health import lives_of
from twins.selectors.readings import scan_readings

_THREADS = 2
_SENSORS_A_SCAN = 3_000
_TOLERANCE = 1.1
"""By so much a challenger's error, as a share of a constant's, may be larger: folds differ, and it knows newer data."""
_FEWEST_LATER = 3
"""Failures since the champion was trained from which on those decide between it and its challenger."""


@dataclass(frozen=True)
class Trained:
    """What became of training one design: a model that is champion, one that was refused, or none and why."""

    design: Design
    model: HealthModel | None
    reason: str = ""
    training: ml.Training | None = None


@dataclass(frozen=True)
class _Champion:
    """The model in force, and what happened since it was trained; nothing is known where its bytes are damaged."""

    row: HealthModel
    fleet: ml.FleetModel | None


def train_design(*, design: Design, now: datetime, seed: int = 0, trials: int | None = None) -> Trained:
    """Learn a model of `design` from everything recorded before `now`, and put it in force if it is good enough.

    Too few failures, inputs that know the future, or a model no better than a constant or than the champion, are
    answers and no errors. Raises PredictionUnavailable where XGBoost does not load.
    """
    return next(iter(train_designs(designs=[design], now=now, seed=seed, trials=trials)))


def train_designs(
    *, designs: Sequence[Design] | None = None, now: datetime, seed: int = 0, trials: int | None = None
) -> Iterator[Trained]:
    """Train these designs, or all with enough recorded failures of theirs or their family, one result as it is done.

    `trials` is the budget of the search for better trees; None: what each design's learning plan says.
    """
    families = families_of(designs, fewest=ml.FEWEST_FAILURES)
    lives = lives_of(list({member.pk: member for family in families for member in family.members}.values()), now=now)
    for group in _groups(families, lives):
        # One pass over the lake serves several designs; the files are the dear part.
        readings = ml.Readings(_scan([life for family in group for life in _lives(family, lives)]))
        known: dict[Any, ml.Training] = {}
        for family in group:
            yield _train(family, _lives(family, lives), readings, now=now, seed=seed, trials=trials, known=known)


def _lives(family: Family, lives: dict[int, list[ml.Life]]) -> list[ml.Life]:
    """The lives of all members; those whose usage nobody counts are of no use."""
    found = [life for member in family.members for life in lives[member.pk]]
    return found if family.design.life_unit == "d" else [life for life in found if life.usage is not None]


def _groups(families: Sequence[Family], lives: dict[int, list[ml.Life]]) -> Iterator[list[Family]]:
    group: list[Family] = []
    sensors: set[int] = set()
    for family in families:
        own = {known.sensor for life in _lives(family, lives) for known in life.inputs}
        if group and len(sensors | own) > _SENSORS_A_SCAN:
            yield group
            group, sensors = [], set()
        group.append(family)
        sensors |= own
    if group:
        yield group


def _scan(lives: Sequence[ml.Life]) -> pa.Table:
    sensors = {known.sensor for life in lives for known in life.inputs}
    start = min((life.start for life in lives), default=0)
    return scan_readings(sensors=sorted(sensors), start=from_microseconds(start))


def _train(
    family: Family,
    lives: list[ml.Life],
    readings: ml.Readings,
    *,
    now: datetime,
    seed: int,
    trials: int | None,
    known: dict[Any, ml.Training],
) -> Trained:
    design = family.design
    champion = _champion(design)
    try:
        training = learn(family, lives, readings, seed=seed, trials=trials, known=known)
    except LeakingInputs as error:
        model = _store_leak(family, error, now, seed)
        return Trained(design, model, model.reason)
    except PredictionUnavailable:
        raise
    except PredictionError as error:
        return Trained(design, None, f"{design}: {error}")
    worse = _judge(champion, training, lives, readings)
    model = _store(family, training, champion, worse, now=now, seed=seed)
    return Trained(design, model, model.reason, training)


def learn(
    family: Family,
    lives: Sequence[ml.Life],
    readings: ml.Readings,
    *,
    seed: int,
    trials: int | None = None,
    known: dict[Any, ml.Training] | None = None,
) -> ml.Training:
    """Learn from the lives of a family as its design's plan says; raises PredictionError.

    `known` remembers what was learned for one member, for others that want the same.
    """
    plan = plan_of(family.design)
    budget = plan.trials if trials is None else trials
    horizon = family.design.planning_horizon
    wish = (horizon, tuple(plan.failure_horizons), tuple(plan.ignored_inputs), seed, budget)
    key = (tuple(member.pk for member in family.members), wish)
    known = {} if known is None else known
    if key not in known:
        known[key] = ml.train(
            lives,
            readings,
            horizon=horizon,
            horizons=plan.failure_horizons,
            ignored=plan.ignored_inputs,
            trials=budget,
            seed=seed,
            threads=_THREADS,
        )
    return known[key]


def lives_of_family(family: Family, *, now: datetime) -> list[ml.Life]:
    """The lives of all members up to `now`; those whose usage nobody counts are of no use."""
    return _lives(family, lives_of(family.members, now=now))


def plan_of(design: Design) -> LearningPlan:
    """What was decided about learning of `design`, or the defaults."""
    return LearningPlan.objects.filter(design=design).first() or LearningPlan(design=design)


def _champion(design: Design) -> _Champion | None:
    row = HealthModel.objects.filter(design=design, status=ModelStatus.CHAMPION).first()
    if row is None:
        return None
    try:
        return _Champion(row, ml.load_model(bytes(row.artefact or b""), sha256=row.sha256))
    except ModelRefused:
        return _Champion(row, None)


def _judge(champion: _Champion | None, training: ml.Training, lives: Sequence[ml.Life], readings: ml.Readings) -> str:
    """Note how the champion did on what came after it, and say why the challenger must not replace it, if so.

    Where enough failed since, both are judged on those rows, the challenger as of items it had not seen; before that
    their errors on unseen items are compared as shares of a constant's.
    """
    if champion is None or champion.fleet is None:
        return ""
    fleet, row, after = champion.fleet, champion.row, microseconds(champion.row.trained_at)
    cap = min(fleet.horizon, training.model.horizon)
    its = ml.judge_model(fleet, lives, readings, after=after, cap=cap)
    running = [ml.trace(life, readings, fleet.columns) for life in lives if not life.failed]
    _, last = ml.rows_needed(fleet)
    newest = [ml.shorten(rows, first=0, last=last) for rows in running]
    row.later = {
        "failures": its.failures,
        "rmse": _finite(its.rmse),
        "coverage_80": _finite(its.coverage_80),
        "psi": {name: round(value, 4) for name, value in ml.stability(fleet, newest).items()},
    }
    if its.failures < _FEWEST_LATER:
        return _worse(training.metrics, row)
    mine = ml.judge_proof(training.proof, after=after, cap=cap)
    if mine.rmse <= its.rmse:
        return ""
    return (
        f"On the {its.failures} failures since the champion of {row.trained_at:%Y-%m-%d %H:%M} was trained its error "
        f"is {mine.rmse:.3g}, the champion's {its.rmse:.3g}: the champion stays."
    )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


@transaction.atomic
def _store(
    family: Family, training: ml.Training, champion: _Champion | None, worse: str, *, now: datetime, seed: int
) -> HealthModel:
    """Write the model; only a good one takes the champion's place, and then in the same transaction."""
    Design.objects.select_for_update().get(pk=family.design.pk)
    standing = HealthModel.objects.filter(design=family.design, status=ModelStatus.CHAMPION).defer("artefact").first()
    reason = training.refusal or worse
    if champion is not None and standing == champion.row:
        standing.later = champion.row.later
        standing.save(update_fields=["later"])
    elif standing is not None and not reason:
        reason = "Another model was put in force while this one was trained: train again."
    content = ml.dump_model(training.model)
    if not reason and standing is not None:
        standing.status, standing.reason = ModelStatus.RETIRED, f"Replaced by a model trained on {now:%Y-%m-%d %H:%M}."
        standing.save(update_fields=["status", "reason"])
    return HealthModel.objects.create(
        design=family.design,
        status=ModelStatus.REFUSED if reason else ModelStatus.CHAMPION,
        reason=reason,
        artefact=content,
        sha256=hashlib.sha256(content).hexdigest(),
        horizon=training.model.horizon,
        life_unit=family.design.life_unit,
        inputs=[*training.model.columns.names, *training.model.context.names],
        metrics={name: _finite(value) for name, value in training.metrics.items()},
        data_hash=training.data_hash,
        scope=family.scope,
        settings=asdict(training.trees),
        seed=seed,
        versions=_versions(),
        trained_at=now,
    )


def _store_leak(family: Family, leak: LeakingInputs, now: datetime, seed: int) -> HealthModel:
    """A refusal without a model: nothing was learned from inputs that know the future."""
    return HealthModel.objects.create(
        design=family.design,
        status=ModelStatus.REFUSED,
        reason=str(leak),
        sha256="",
        horizon=leak.horizon,
        life_unit=family.design.life_unit,
        inputs=leak.inputs,
        scope=family.scope,
        seed=seed,
        versions=_versions(),
        data_hash="",
        trained_at=now,
    )


def _versions() -> dict[str, str]:
    return {"python": platform.python_version(), "numpy": numpy.__version__, "xgboost": ml.version()}


def _worse(metrics: dict[str, float], champion: HealthModel) -> str:
    """Why this model must not replace the champion; errors are compared as shares of a constant's."""
    mine = metrics["rmse"] / metrics["rmse_of_a_constant"]
    its = champion.metrics["rmse"] / champion.metrics["rmse_of_a_constant"]
    if mine <= _TOLERANCE * its:
        return ""
    return (
        f"Its error is {mine:.0%} of a constant's, that of the champion of {champion.trained_at:%Y-%m-%d %H:%M} "
        f"is {its:.0%}: the champion stays; look at what changed in the readings and events since."
    )
