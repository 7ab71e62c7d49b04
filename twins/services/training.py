"""Models of health are learned per design from recorded failures, kept with their proof, put in force or refused."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy
import pyarrow as pa
from django.db import transaction

from assets.models import Design
from twins import ml
from twins.exceptions import NotEnoughFailures
from twins.lake import from_microseconds
from twins.models import HealthModel, ModelStatus
from twins.selectors.health import designs_with_failures, lives_of
from twins.selectors.readings import scan_readings

_THREADS = 2
_SENSORS_A_SCAN = 3_000
_TOLERANCE = 1.1
"""By so much a challenger's error, as a share of a constant's, may be larger: folds differ, and it knows newer data."""


@dataclass(frozen=True)
class Trained:
    """What became of training one design: a model that is champion, one that was refused, or none and why."""

    design: Design
    model: HealthModel | None
    reason: str = ""
    training: ml.Training | None = None


def train_design(*, design: Design, now: datetime, seed: int = 0) -> Trained:
    """Learn a model of `design` from everything recorded before `now`, and put it in force if it is good enough.

    Too few failures, or a model no better than a constant or than the champion, are answers and no errors. Raises
    PredictionUnavailable where XGBoost does not load.
    """
    return next(iter(train_designs(designs=[design], now=now, seed=seed)))


def train_designs(*, designs: Sequence[Design] | None = None, now: datetime, seed: int = 0) -> Iterator[Trained]:
    """Train these designs, or all with enough recorded failures, one result as soon as each is done."""
    if designs is None:
        designs = designs_with_failures(fewest=ml.FEWEST_FAILURES)
    lives = lives_of(designs, now=now)
    for group in _groups(designs, lives):
        # One pass over the lake serves several designs; the files are the dear part.
        readings = ml.Readings(_scan([life for design in group for life in lives[design.pk]]))
        for design in group:
            yield _train(design, lives[design.pk], readings, now, seed)


def _groups(designs: Sequence[Design], lives: dict[int, list[ml.Life]]) -> Iterator[list[Design]]:
    group: list[Design] = []
    sensors = 0
    for design in designs:
        count = len({known.sensor for life in lives[design.pk] for known in life.inputs})
        if group and sensors + count > _SENSORS_A_SCAN:
            yield group
            group, sensors = [], 0
        group.append(design)
        sensors += count
    if group:
        yield group


def _scan(lives: Sequence[ml.Life]) -> pa.Table:
    sensors = {known.sensor for life in lives for known in life.inputs}
    start = min((life.start for life in lives), default=0)
    return scan_readings(sensors=sorted(sensors), start=from_microseconds(start))


def _train(design: Design, lives: list[ml.Life], readings: ml.Readings, now: datetime, seed: int) -> Trained:
    if design.life_unit != "d" and any(life.usage is None for life in lives):
        lives = [life for life in lives if life.usage is not None]
    try:
        training = ml.train(lives, readings, horizon=design.planning_horizon, seed=seed, threads=_THREADS)
    except NotEnoughFailures as error:
        return Trained(design, None, f"{design}: {error}")
    model = _store(design, training, now, seed)
    return Trained(design, model, model.reason, training)


@transaction.atomic
def _store(design: Design, training: ml.Training, now: datetime, seed: int) -> HealthModel:
    """Write the model; only a good one takes the champion's place, and then in the same transaction."""
    Design.objects.select_for_update().get(pk=design.pk)
    champion = HealthModel.objects.filter(design=design, status=ModelStatus.CHAMPION).defer("artefact").first()
    reason = training.refusal or _worse(training.metrics, champion)
    content = ml.dump_model(training.model)
    if not reason and champion is not None:
        champion.status, champion.reason = ModelStatus.RETIRED, f"Replaced by a model trained on {now:%Y-%m-%d %H:%M}."
        champion.save(update_fields=["status", "reason"])
    return HealthModel.objects.create(
        design=design,
        status=ModelStatus.REFUSED if reason else ModelStatus.CHAMPION,
        reason=reason,
        artefact=content,
        sha256=hashlib.sha256(content).hexdigest(),
        horizon=training.model.horizon,
        life_unit=design.life_unit,
        inputs=list(training.model.columns.names),
        metrics=training.metrics,
        data_hash=training.data_hash,
        seed=seed,
        versions={"python": platform.python_version(), "numpy": numpy.__version__, "xgboost": ml.version()},
        trained_at=now,
    )


def _worse(metrics: dict[str, float], champion: HealthModel | None) -> str:
    """Why this model must not replace the champion; errors are compared as shares of a constant's."""
    if champion is None:
        return ""
    mine = metrics["rmse"] / metrics["rmse_of_a_constant"]
    its = champion.metrics["rmse"] / champion.metrics["rmse_of_a_constant"]
    if mine <= _TOLERANCE * its:
        return ""
    return (
        f"Its error is {mine:.0%} of a constant's, that of the champion of {champion.trained_at:%Y-%m-%d %H:%M} "
        f"is {its:.0%}: the champion stays; look at what changed in the readings and events since."
    )
