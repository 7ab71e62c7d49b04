"""The record of being right as it is read: standing warnings, what was believed before, how warnings turned out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from django.db import connection

from assets.models import Installation
from twins import ml
from twins.models import HealthRecord, HealthWarning

JUDGED = 15
"""Of so many warnings the record is told."""


@dataclass(frozen=True)
class OpenWarning:
    """A warning that may be judged, with the truth known so far."""

    pk: int
    verdict: str
    raised_at: datetime
    last_at: datetime
    horizon_days: float
    failed_at: datetime | None
    """The first failure of its item at its asset since it was raised."""
    ended_at: datetime | None
    """When the item was removed."""


@dataclass(frozen=True)
class TrackRecord:
    """How the last warnings of one design at one site turned out, and whether its probabilities keep their word."""

    design: int
    site: int
    warnings: ml.Record
    """Lead in days."""
    calibration: ml.Calibration | None
    """Of all probabilities whose truth is known; None without any."""


def warnings_to_judge(*, now: datetime, late: timedelta, limit: int) -> list[OpenWarning]:
    """Warnings that are open, or were called false less than `late` ago, the oldest first."""
    with connection.cursor() as cursor:
        cursor.execute(_TO_JUDGE, [now, now - late, limit])
        return [OpenWarning(*row) for row in cursor.fetchall()]


_TO_JUDGE = """
SELECT warning.id, warning.verdict, warning.raised_at, warning.last_at, warning.horizon_days,
       (SELECT min(event.started_at) FROM twins_assets_maintenanceevent event
        WHERE event.asset_id = warning.asset_id AND event.kind = 'failure'
          AND (event.item_id IS NULL OR event.item_id = warning.item_id)
          AND event.started_at >= warning.raised_at
          AND (upper(place.period) IS NULL OR event.started_at <= upper(place.period))),
       upper(place.period)
FROM twins_healthwarning warning
LEFT JOIN twins_assets_installation place ON place.asset_id = warning.asset_id AND place.item_id = warning.item_id
     AND place.period @> warning.raised_at
WHERE warning.raised_at <= %s AND (warning.verdict = 'open' OR warning.verdict = 'false' AND warning.judged_at > %s)
ORDER BY warning.raised_at, warning.id LIMIT %s
"""


def standing_warnings(assets: Iterable[int]) -> dict[int, HealthWarning]:
    """The warning that stands at each asset; none where nothing is warned of."""
    rows = HealthWarning.objects.filter(asset__in=list(assets), cleared_at__isnull=True)
    return {row.asset_id: row for row in rows}


def health_records(
    assets: Sequence[int], *, start: datetime, end: datetime | None, limit: int
) -> dict[int, list[HealthRecord]]:
    """The newest `limit` records of each asset in [start, end), the newest first; none where nothing was believed."""
    rows = HealthRecord.objects.raw(_RECORDS, [list(assets), start, end, end, limit])
    found: dict[int, list[HealthRecord]] = {}
    for row in rows:
        found.setdefault(row.asset_id, []).append(row)
    return found


_RECORDS = """
SELECT record.* FROM unnest(%s::bigint[]) AS asked(asset) CROSS JOIN LATERAL (
    SELECT * FROM twins_healthrecord WHERE asset_id = asked.asset AND at >= %s AND (%s::timestamptz IS NULL OR at < %s)
    ORDER BY at DESC, id DESC LIMIT %s) record ORDER BY record.asset_id, record.at DESC, record.id DESC
"""


def health_before(assets: Iterable[int], *, at: datetime) -> dict[int, HealthRecord]:
    """What was believed of each asset at an instant: its newest record up to then; none where there is none."""
    rows = HealthRecord.objects.filter(asset__in=list(assets), at__lte=at).order_by("asset_id", "-at", "-id")
    return {row.asset_id: row for row in rows.distinct("asset_id")}


def track_records(designs: Sequence[int], *, limit: int = JUDGED) -> dict[tuple[int, int], TrackRecord]:
    """By (design, top of the tree): the last `limit` judged warnings, those still open, and the failures missed."""
    if not designs:
        return {}
    wanted = list(designs)
    with connection.cursor() as cursor:
        cursor.execute(_TRACK, [wanted, wanted, limit])
        rows = cursor.fetchall()
    verdicts: dict[tuple[int, int], list[ml.Verdict]] = defaultdict(list)
    leads: dict[tuple[int, int], list[float]] = defaultdict(list)
    truths: dict[tuple[int, int], list[tuple[float, bool]]] = defaultdict(list)
    missed: dict[tuple[int, int], int] = {}
    for design, site, verdict, value, came_true in rows:
        if verdict is not None:
            verdicts[design, site].append(ml.Verdict(verdict))
            leads[design, site].extend([] if value is None else [value])
        elif came_true is None:
            missed[design, site] = int(value)
        else:
            truths[design, site].append((value, came_true))
    keys = sorted(verdicts.keys() | missed.keys() | truths.keys())
    return {
        key: TrackRecord(
            design=key[0],
            site=key[1],
            warnings=ml.tally(verdicts[key], leads[key], missed=missed.get(key, 0)),
            calibration=_calibration(truths[key]),
        )
        for key in keys
    }


def track_records_of(assets: Iterable[int]) -> dict[int, TrackRecord]:
    """The record of the design that is installed at each asset, at its site; none where nothing was ever said."""
    rows = Installation.objects.filter(asset__in=list(assets), period__upper_inf=True)
    places = {asset: (design, root) for asset, design, root in rows.values_list("asset", "item__design", "asset__root")}
    records = track_records(sorted({design for design, _ in places.values()})) if places else {}
    return {asset: records[place] for asset, place in places.items() if place in records}


def _calibration(truths: list[tuple[float, bool]]) -> ml.Calibration | None:
    pairs = np.array(truths, np.float64).reshape(-1, 2)
    return ml.calibrate(pairs[:, 0], pairs[:, 1])


# One statement for three questions: what each warning came to and its lead; failures missed; probabilities and truth.
# Missed are only failures of what was watched by then: before its first record nobody could have warned. Each
# installation looks up those of its own time, in their order, which keeps to the index that has it: a place may have
# seen thousands of events and hundreds of items. So it does with its records, of which all designs have many more.
# Of probabilities one a day and item: neighbouring hours say the same.
_TRACK = """
WITH place AS MATERIALIZED (
    SELECT place.asset_id, place.item_id, place.period, item.design_id, asset.root_id
    FROM twins_assets_installation place JOIN twins_assets_item item ON item.id = place.item_id
    JOIN twins_assets_asset asset ON asset.id = place.asset_id
    WHERE item.design_id = ANY(%s))
(SELECT design_id, root_id, verdict, lead AS value, NULL::boolean AS came_true FROM (
    SELECT item.design_id, asset.root_id, warning.verdict,
           extract(epoch FROM warning.failed_at - warning.raised_at)::float8 / 86400 AS lead,
           row_number() OVER (PARTITION BY item.design_id, asset.root_id, warning.verdict IN ('right', 'false')
                              ORDER BY warning.raised_at DESC, warning.id DESC) AS rank
    FROM twins_healthwarning warning JOIN twins_assets_item item ON item.id = warning.item_id
    JOIN twins_assets_asset asset ON asset.id = warning.asset_id
    WHERE item.design_id = ANY(%s)) ranked
WHERE rank <= %s)
UNION ALL
(SELECT place.design_id, place.root_id, NULL, count(DISTINCT event.id), NULL
FROM place CROSS JOIN LATERAL (
    SELECT id, started_at FROM twins_assets_maintenanceevent
    WHERE asset_id = place.asset_id AND kind = 'failure' AND (item_id IS NULL OR item_id = place.item_id)
      AND started_at > coalesce(lower(place.period), '-infinity')
      AND started_at <= coalesce(upper(place.period), 'infinity')
    ORDER BY asset_id, started_at DESC OFFSET 0) event
CROSS JOIN LATERAL (
    SELECT FROM twins_healthrecord
    WHERE asset_id = place.asset_id AND probability IS NOT NULL AND place.period @> at
      AND at >= coalesce(lower(place.period), '-infinity') AND at < event.started_at
    ORDER BY asset_id, at DESC LIMIT 1) said
WHERE NOT EXISTS (SELECT FROM twins_healthwarning warning WHERE warning.asset_id = place.asset_id
                  AND warning.failed_at = event.started_at)
GROUP BY 1, 2)
UNION ALL
(SELECT DISTINCT ON (place.design_id, place.root_id, record.asset_id, date_trunc('day', record.at, 'UTC'))
       place.design_id, place.root_id, NULL, record.probability, record.came_true
FROM place CROSS JOIN LATERAL (
    SELECT asset_id, at, probability, came_true FROM twins_healthrecord
    WHERE asset_id = place.asset_id AND came_true IS NOT NULL AND hour IS NOT NULL AND place.period @> at
      AND at BETWEEN coalesce(lower(place.period), '-infinity') AND coalesce(upper(place.period), 'infinity')
    ORDER BY asset_id, at DESC OFFSET 0) record
ORDER BY place.design_id, place.root_id, record.asset_id, date_trunc('day', record.at, 'UTC'), record.at
LIMIT 200000)
"""
