"""Health is assessed from the newest state: by the design's model, else by its ageing curve; what has no item rolls up.

Nothing is queued: what must be assessed is derived from readings, items and models, so whoever comes late assesses
the newest state and none is assessed twice.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import lru_cache

import orjson
from django.db import connection, transaction

from twins import events, ml
from twins.exceptions import PredictionError
from twins.lake import from_microseconds, microseconds
from twins.models import Assessment, AssessmentSource, HealthModel
from twins.selectors.corrections import newest_correction
from twins.selectors.health import Unit, champions_of, newest_batches, stale_units, units_of
from twins.services.ageing import Believed, assess_by_age
from twins.services.ledger import keep_record
from twins.services.policies import apply_policies, doubt_unsound
from twins.services.rollup import roll_up
from twins.services.traces import trace_units

_log = logging.getLogger(__name__)

_LOCK = 7_305_001
"""Advisory lock of those who write assessments: a roll-up must see all of its children.

The database takes it as well, by this number, for whoever moves an asset: its assessment moves along.
"""
_SWEEP_LOCK = 7_305_002
MOST_A_ROUND = 500


def assess_stale(*, now: datetime, limit: int = MOST_A_ROUND) -> list[int]:
    """Assess at most `limit` of the assets that need it, the longest waiting first; returns what was written."""
    with _alone() as alone:
        return assess_assets(assets=stale_units(now=now, limit=limit), now=now) if alone else []


@contextmanager
def _alone() -> Iterator[bool]:
    """Whether no other process is at it; two would assess the same."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [_SWEEP_LOCK])
        alone = bool(cursor.fetchone()[0])
    try:
        yield alone
    finally:
        if alone:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [_SWEEP_LOCK])


def assess_assets(*, assets: Sequence[int], now: datetime) -> list[int]:
    """Assess those of `assets` that have an item, then everything above them; returns the ids written, ascending.

    An asset whose item's design has neither a model nor an expected life is left out. A model that cannot be used
    costs a warning, and the ageing curve speaks instead.
    """
    units = units_of(sorted(set(assets)), now=now) if assets else []
    if not units:
        # Most often nobody needs it, asked once a second and more.
        return []
    # What is known before the readings are scanned: what comes later makes the assessment stale again.
    seen = newest_batches([known.sensor for unit in units for known in unit.life.inputs])
    corrected = newest_correction()
    found: dict[int, Believed] = {}
    models = champions_of(unit.design.pk for unit in units)
    by_model: dict[int, list[Unit]] = defaultdict(list)
    for unit in units:
        counted = unit.life.usage is not None or unit.design.life_unit == "d"
        if unit.design.pk in models and counted:
            by_model[unit.design.pk].append(unit)
    for design, members in by_model.items():
        found |= _predict_safely(models[design], members, now, seen)
    rest = [unit for unit in units if unit.asset not in found]
    found |= assess_by_age(units=rest, models=models, now=now)
    apply_policies(units=units, believed=found, models=models, now=now)
    doubt_unsound(units=units, believed=found)
    for unit in rest:
        if unit.asset in found:
            found[unit.asset].row.data_batch = _newest(unit, seen) or None
    for believed in found.values():
        believed.row.correction = corrected
    return _write([found[asset] for asset in sorted(found)], now)


def _predict_safely(model: HealthModel, units: list[Unit], now: datetime, seen: dict[int, int]) -> dict[int, Believed]:
    try:
        return _predict(model, units, now, seen)
    except PredictionError as error:
        _log.warning("%s is assessed by its age: %s", units[0].design, error)
        return {}


def _predict(model: HealthModel, units: list[Unit], now: datetime, seen: dict[int, int]) -> dict[int, Believed]:
    fleet = _load(model.pk, model.sha256)
    traced = trace_units(units=units, model=fleet, now=now)
    predictions = ml.predict(
        fleet, [unit.life for unit in units], [each.rows for each in traced], now=microseconds(now)
    )
    return {
        unit.asset: Believed(
            _from_model(unit, model, prediction, now, max(each.batch, _newest(unit, seen))),
            age=each.rows.reached,
            days=(unit.life.end - unit.life.start) / ml.DAY,
        )
        for unit, each, prediction in zip(units, traced, predictions, strict=True)
        if prediction is not None
    }


@lru_cache(maxsize=64)
def _load(pk: int, sha256: str) -> ml.FleetModel:
    """A model's bytes, checked against their hash once a process."""
    content = HealthModel.objects.values_list("artefact", flat=True).get(pk=pk)
    return ml.load_model(bytes(content or b""), sha256=sha256)


def _newest(unit: Unit, seen: dict[int, int]) -> int:
    return max((seen.get(known.sensor, 0) for known in unit.life.inputs), default=0)


def _from_model(unit: Unit, model: HealthModel, said: ml.Prediction, now: datetime, batch: int) -> Assessment:
    low, middle, high = said.life_left
    return Assessment(
        asset_id=unit.asset,
        item_id=unit.item,
        model=model,
        source=AssessmentSource.MODEL,
        health=said.health,
        coverage=said.coverage,
        failure_probabilities=[{"horizon": h, "probability": p} for h, p in said.probabilities],
        rul_p10=low,
        rul_p50=middle,
        rul_p90=high,
        rul_unit=model.life_unit,
        beyond_horizon=said.beyond_horizon,
        drivers=[{"input": driver.input, "points": driver.points} for driver in said.drivers],
        data_time=from_microseconds(said.data_time),
        data_batch=batch or None,
        assessed_at=now,
    )


@transaction.atomic
def _write(believed: list[Believed], now: datetime) -> list[int]:
    """Replace assessments in id order, roll them up, keep the record, and tell after commit.

    An older state never replaces a newer.
    """
    if not believed:
        return []
    paces = {each.row.asset_id: each.days_per_unit for each in believed}
    rows = [each.row for each in believed]
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
    newer = Assessment.objects.filter(asset__in=[row.asset_id for row in rows], assessed_at__gt=now)
    overtaken = set(newer.values_list("asset_id", flat=True))
    rows = [row for row in rows if row.asset_id not in overtaken]
    _upsert(rows)
    above = roll_up([row.asset_id for row in rows], now=now)
    _upsert(above)
    keep_record(rows=[*rows, *above], now=now, days_per_unit=paces)
    written = sorted([*(row.asset_id for row in rows), *(row.asset_id for row in above)])
    if written:
        events.publish("assessed", {"assets": written})
    return written


def _upsert(rows: list[Assessment]) -> None:
    """In one statement with one parameter, because Django would look at every value of every row."""
    if not rows:
        return
    # The path is the database's to know.
    fields = {str(field.column): field for field in Assessment._meta.concrete_fields if field.name != "path"}
    values = [{column: getattr(row, field.attname) for column, field in fields.items()} for row in rows]
    names = ", ".join(fields)
    typed = ", ".join(f"{column} {field.db_type(connection)}" for column, field in fields.items())
    renewed = ", ".join(f"{column} = excluded.{column}" for column in fields if column != "asset_id")
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO twins_assessment ({names}) SELECT {names} FROM jsonb_to_recordset(%s) AS new({typed}) "  # noqa: S608
            f"ORDER BY asset_id ON CONFLICT (asset_id) DO UPDATE SET {renewed}",
            [orjson.dumps(values, option=orjson.OPT_SERIALIZE_NUMPY).decode()],
        )
