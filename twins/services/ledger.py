"""The ledger: what was believed is kept, warnings are given and cleared, and judged when the truth arrives.

History and warnings are written in the transaction of the assessment they come from. Judging is derived from failures,
removals and the clock, so that a failure recorded late is found all the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import orjson
from django.db import connection, transaction

from twins import ml
from twins.ml.bands import band_of
from twins.models import Assessment, HealthPolicy, HealthWarning, WarningVerdict
from twins.selectors.ledger import OpenWarning, warnings_to_judge

HOURS_KEPT = timedelta(days=30)
"""After this only the first hour of each day is kept."""
DAYS_KEPT = timedelta(days=730)
LATE = timedelta(days=30)
"""For so long a failure that is recorded late still turns a false warning into a right one."""
_THRESHOLD = 0.5
_MOST = 5_000


@dataclass(frozen=True)
class Statement:
    """What an assessment says of the nearest future: a probability of failure within so many days."""

    row: Assessment
    probability: float
    horizon_days: float


def keep_record(*, rows: Sequence[Assessment], now: datetime, days_per_unit: dict[int, float]) -> None:
    """Write history and move warnings for assessments just written; belongs into their transaction.

    `days_per_unit` has, by asset, how many days a unit of life takes there.
    """
    statements = [statement for row in rows if (statement := _statement(row, days_per_unit)) is not None]
    said = {statement.row.asset_id: statement for statement in statements}
    _write_history(rows, said, now)
    _move_warnings(rows, said, now)


def _statement(row: Assessment, days_per_unit: dict[int, float]) -> Statement | None:
    known = [entry for entry in row.failure_probabilities if entry.get("probability") is not None]
    if row.item_id is None or not known:
        return None
    nearest = min(known, key=lambda entry: entry["horizon"])
    days = nearest["horizon"] * days_per_unit.get(row.asset_id, 1.0)
    return Statement(row, float(nearest["probability"]), float(days)) if days > 0 else None


def _write_history(rows: Sequence[Assessment], said: dict[int, Statement], now: datetime) -> None:
    records = [
        {
            "asset_id": row.asset_id,
            "health": row.health,
            "band": band_of(row.health),
            "coverage": row.coverage,
            "source": str(row.source),
            "drivers": row.drivers,
            "probability": said[row.asset_id].probability if row.asset_id in said else None,
            "horizon_days": said[row.asset_id].horizon_days if row.asset_id in said else None,
        }
        for row in rows
    ]
    text = orjson.dumps(records, option=orjson.OPT_SERIALIZE_NUMPY).decode()
    with connection.cursor() as cursor:
        # The band before is that of the newest record, looked up before the hour is replaced.
        cursor.execute(_BAND_CHANGES, [now, text])
        cursor.execute(_HOURS, [now, now, text])


_ROWS = (
    "jsonb_to_recordset(%s) AS new(asset_id bigint, health float8, band text, coverage float8, source text, "
    "drivers jsonb, probability float8, horizon_days float8)"
)
_COLUMNS = "asset_id, health, band, coverage, source, drivers, probability, horizon_days"
_BAND_CHANGES = f"""
INSERT INTO twins_healthrecord (at, hour, asset_id, health, band, coverage, source, drivers)
SELECT %s, NULL, new.asset_id, new.health, new.band, new.coverage, new.source, new.drivers FROM {_ROWS}
CROSS JOIN LATERAL (SELECT band FROM twins_healthrecord known WHERE known.asset_id = new.asset_id
                    ORDER BY at DESC, id DESC LIMIT 1) before
WHERE before.band <> new.band
"""  # noqa: S608
_HOURS = f"""
INSERT INTO twins_healthrecord AS old (at, hour, {_COLUMNS})
SELECT %s, date_trunc('hour', %s, 'UTC'), {_COLUMNS} FROM {_ROWS} ORDER BY asset_id
ON CONFLICT (asset_id, hour) WHERE hour IS NOT NULL DO UPDATE SET at = excluded.at, health = excluded.health,
    band = excluded.band, coverage = excluded.coverage, source = excluded.source, drivers = excluded.drivers,
    probability = excluded.probability, horizon_days = excluded.horizon_days
WHERE old.at <= excluded.at AND old.came_true IS NULL
"""  # noqa: S608


def _move_warnings(rows: Sequence[Assessment], said: dict[int, Statement], now: datetime) -> None:
    """Raise, renew and clear. A warning about an item that is no longer there is over."""
    standing = {
        warning.asset_id: warning
        for warning in HealthWarning.objects.filter(asset__in=[row.asset_id for row in rows], cleared_at__isnull=True)
    }
    thresholds = _thresholds(said)
    raised, changed = [], []
    for row in rows:
        warning, statement = standing.get(row.asset_id), said.get(row.asset_id)
        if warning is not None and warning.item_id != row.item_id:
            warning.cleared_at = now
            changed.append(warning)
            warning = None
        if statement is None:
            continue
        threshold = warning.threshold if warning is not None else thresholds.get(row.asset_id, _THRESHOLD)
        stands = ml.stands(warning is not None, statement.probability, threshold=threshold)
        if warning is None and stands:
            raised.append(_raise(statement, threshold, now))
        elif warning is not None:
            if stands:
                warning.last_at, warning.peak = now, max(warning.peak, statement.probability)
            else:
                warning.cleared_at = now
            changed.append(warning)
    HealthWarning.objects.bulk_update(changed, ["last_at", "peak", "cleared_at"])
    HealthWarning.objects.bulk_create(raised)


def _thresholds(said: dict[int, Statement]) -> dict[int, float]:
    """By asset, where the policy of the design of its item says one."""
    items = {statement.row.item_id: asset for asset, statement in said.items()}
    known = HealthPolicy.objects.filter(design__items__in=items).values_list("design__items", "warning_threshold")
    return {items[item]: threshold for item, threshold in known if item in items}


def _raise(said: Statement, threshold: float, now: datetime) -> HealthWarning:
    item = said.row.item_id
    assert item is not None
    return HealthWarning(
        asset_id=said.row.asset_id,
        item_id=item,
        source=str(said.row.source),
        threshold=threshold,
        horizon_days=said.horizon_days,
        probability=said.probability,
        peak=said.probability,
        raised_at=now,
        last_at=now,
    )


def judge_ledger(*, now: datetime) -> int:
    """Judge warnings and probabilities whose truth has arrived; how many warnings changed their verdict."""
    changed = 0
    for warning in warnings_to_judge(now=now, late=LATE, limit=_MOST):
        changed += _judge(warning, now)
    with connection.cursor() as cursor:
        cursor.execute(_CAME_TRUE, [now, now, now])
    return changed


def _judge(warning: OpenWarning, now: datetime) -> int:
    verdict = ml.judge(
        raised=0.0,
        last=_days(warning.raised_at, warning.last_at),
        horizon=warning.horizon_days,
        failed=None if warning.failed_at is None else _days(warning.raised_at, warning.failed_at),
        ended=None if warning.ended_at is None else _days(warning.raised_at, warning.ended_at),
        now=_days(warning.raised_at, now),
    )
    if verdict == warning.verdict:
        return 0
    right = verdict is ml.Verdict.RIGHT
    rows = HealthWarning.objects.filter(pk=warning.pk, verdict=warning.verdict)
    return rows.update(
        verdict=WarningVerdict(verdict.value), judged_at=now, failed_at=warning.failed_at if right else None
    )


def _days(start: datetime, end: datetime) -> float:
    return (end - start) / timedelta(days=1)


# A probability is true or not once its horizon has passed, or at the failure; where the item was removed before, for
# another reason, nobody will know. The item is the one that was there when it was said.
_CAME_TRUE = """
WITH asked AS (
    SELECT record.id, record.at, record.at + record.horizon_days * interval '1 day' AS until, place.id AS place,
           place.asset_id, place.item_id, upper(place.period) AS removed
    FROM twins_healthrecord record
    JOIN twins_assets_installation place ON place.asset_id = record.asset_id AND place.period @> record.at
    WHERE record.came_true IS NULL AND record.horizon_days IS NOT NULL AND record.at < %s
    ORDER BY record.at LIMIT 20000
), known AS (
    SELECT asked.*, (SELECT min(event.started_at) FROM twins_assets_maintenanceevent event
                     WHERE event.asset_id = asked.asset_id AND event.kind = 'failure'
                       AND (event.item_id IS NULL OR event.item_id = asked.item_id)
                       AND event.started_at > asked.at AND event.started_at <= asked.until
                       AND (asked.removed IS NULL OR event.started_at <= asked.removed)) AS failed
    FROM asked
)
UPDATE twins_healthrecord record
SET came_true = CASE WHEN known.failed IS NOT NULL THEN true WHEN known.removed < known.until THEN NULL ELSE false END,
    horizon_days = CASE WHEN known.failed IS NULL AND known.removed < known.until THEN NULL
                        ELSE record.horizon_days END
FROM known WHERE known.id = record.id
  AND (known.failed IS NOT NULL OR known.until <= %s OR known.removed < least(known.until, %s))
"""


@transaction.atomic
def prune_ledger(*, now: datetime) -> int:
    """Thin the history: after a month one record a day, after two years none; changes of band stay as long."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM twins_healthrecord WHERE at < %s", [now - DAYS_KEPT])
        gone = cursor.rowcount
        cursor.execute(_THIN, [now - HOURS_KEPT])
        return gone + cursor.rowcount


_THIN = """
DELETE FROM twins_healthrecord record WHERE record.hour < %s AND EXISTS (
    SELECT FROM twins_healthrecord earlier WHERE earlier.asset_id = record.asset_id AND earlier.hour < record.hour
    AND earlier.hour >= date_trunc('day', record.hour, 'UTC'))
"""
