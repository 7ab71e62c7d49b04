"""What health is judged from and what is believed of it: inputs, lives and the newest assessments of many assets."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection

from assets.models import Design, EventKind, Installation, Item, MaintenanceEvent, SensorRole
from twins.lake import microseconds
from twins.ml import Input, Life
from twins.models import Assessment, HealthModel, ModelStatus
from twins.selectors.arrays import integers
from twins.selectors.hot import hot_readings
from twins.selectors.labels import each_own, events_at, segments_of

REFRESHED = timedelta(hours=1)
"""An assessment older than this is made again: age and coverage change without any reading."""


@dataclass(frozen=True)
class AssetInput:
    """A sensor as an asset sees it."""

    input: Input
    unit: str
    depth: int
    """0: at the asset itself; above 0: so many levels below; below 0: above."""


@dataclass(frozen=True)
class Unit:
    """An asset with an installed item: what is assessed by itself."""

    asset: int
    item: int
    design: Design
    installation: int
    life: Life
    """The life that still runs; it ends now."""


def latest_health(asset_ids: Iterable[int]) -> dict[int, Assessment]:
    """What is believed of each asset now, in one query; assets never assessed are absent."""
    return Assessment.objects.in_bulk(list(asset_ids))


def champions_of(design_ids: Iterable[int]) -> dict[int, HealthModel]:
    """The model in force of each design, without its bytes; none where none was learned."""
    rows = HealthModel.objects.filter(design__in=set(design_ids), status=ModelStatus.CHAMPION)
    return {row.design_id: row for row in rows.defer("artefact", "metrics")}


def failures_of_designs() -> dict[int, int]:
    """Of every design of which an item was ever installed, how many failures are on record, by id."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT item.design_id, count(DISTINCT event.id) FROM twins_assets_installation place "
            "JOIN twins_assets_item item ON item.id = place.item_id "
            "LEFT JOIN twins_assets_maintenanceevent event ON event.asset_id = place.asset_id "
            "AND event.kind = 'failure' AND (event.item_id IS NULL OR event.item_id = place.item_id) "
            "AND event.started_at > lower(place.period) "
            "AND (upper_inf(place.period) OR event.started_at <= upper(place.period)) "
            "GROUP BY item.design_id ORDER BY item.design_id",
        )
        return dict(cursor.fetchall())


def inputs_of(assets: Sequence[int]) -> dict[int, tuple[AssetInput, ...]]:
    """The sensors of each asset's subtree, and the setting and usage sensors above it, in one query.

    Names align over a fleet: "HPC/T30" for sensor T30 of the child named HPC, "../load" for sensor load of the parent.
    Of sensors that would be named alike the second is called "HPC/T30#2".
    """
    found: dict[int, list[AssetInput]] = {asset: [] for asset in assets}
    with connection.cursor() as cursor:
        cursor.execute(_INPUTS, [list(assets), list(assets), [SensorRole.SETTING, SensorRole.USAGE]])
        rows = cursor.fetchall()
    used: dict[int, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for asset, sensor, name, role, unit, interval, depth, names in rows:
        path = "/".join([*names, name]) if depth >= 0 else "../" * -depth + name
        used[asset][path] += 1
        repeated = used[asset][path]
        whole = path if repeated == 1 else f"{path}#{repeated}"
        found[asset].append(AssetInput(Input(name=whole, sensor=sensor, role=role, interval=interval), unit, depth))
    return {asset: tuple(inputs) for asset, inputs in found.items()}


_INPUTS = """
SELECT unit.id, sensor.id, sensor.name, sensor.role, sensor.unit, sensor.expected_interval,
       cardinality(place.path) - cardinality(unit.path) AS depth,
       ARRAY(SELECT step.name FROM unnest(place.path[cardinality(unit.path) + 1:]) WITH ORDINALITY AS way(id, rank)
             JOIN twins_assets_asset step ON step.id = way.id ORDER BY way.rank) AS names
FROM twins_assets_asset unit
JOIN twins_assets_asset place ON place.path @> ARRAY[unit.id]
JOIN twins_assets_sensor sensor ON sensor.asset_id = place.id
WHERE unit.id = ANY(%s)
UNION ALL
SELECT unit.id, sensor.id, sensor.name, sensor.role, sensor.unit, sensor.expected_interval,
       cardinality(place.path) - cardinality(unit.path), ARRAY[]::varchar[]
FROM twins_assets_asset unit
JOIN twins_assets_asset place ON place.id = ANY(unit.path) AND place.id <> unit.id
JOIN twins_assets_sensor sensor ON sensor.asset_id = place.id
WHERE unit.id = ANY(%s) AND sensor.role = ANY(%s)
ORDER BY 1, 2
"""


def units_of(assets: Sequence[int], *, now: datetime) -> list[Unit]:
    """Those of `assets` that have an item installed, with the life that runs there, by asset id."""
    rows = Installation.objects.filter(asset__in=assets, period__upper_inf=True, period__startswith__lte=now)
    places = list(rows.select_related("item__design").order_by("asset_id"))
    segments = lives_at(places, now)
    return [
        Unit(
            asset=place.asset_id,
            item=place.item_id,
            design=place.item.design,
            installation=place.pk,
            life=lives[-1],
        )
        for place, lives in zip(places, segments, strict=True)
    ]


def lives_of(designs: Sequence[Design], *, now: datetime) -> dict[int, list[Life]]:
    """All lives of each design's items up to `now`, wherever they were installed, by start.

    A life ends with its installation or with a recorded failure. In place a new one begins when the failure's event
    ends or a repair is recorded; until then the item has failed.
    """
    rows = Installation.objects.filter(item__design__in=designs, period__startswith__lt=now)
    places = list(rows.select_related("item__design").order_by("period", "id"))
    lives: dict[int, list[Life]] = {design.pk: [] for design in designs}
    for place, segments in zip(places, lives_at(places, now), strict=True):
        lives[place.item.design_id].extend(segments)
    return lives


def lives_at(places: Sequence[Installation], now: datetime) -> list[list[Life]]:
    """The lives of each installation, the newest last."""
    assets = sorted({place.asset_id for place in places})
    inputs = inputs_of(assets) if assets else {}
    events = each_own(places, events_at(assets))
    return [
        _lives(place, tuple(inputs.get(place.asset_id, ())), own, now)
        for place, own in zip(places, events, strict=True)
    ]


def _lives(
    place: Installation, inputs: tuple[AssetInput, ...], own: Sequence[MaintenanceEvent], now: datetime
) -> list[Life]:
    attributes, usage = _attributes(place.item), usage_sensor(inputs, place.item.design.life_unit)
    return [
        Life(
            key=place.pk,
            group=place.item_id,
            start=microseconds(life.start),
            end=microseconds(life.end),
            failed=life.failure is not None,
            inputs=tuple(known.input for known in inputs),
            usage=usage,
            attributes=attributes,
            happened=tuple(
                (microseconds(event.started_at), str(event.kind))
                for event in own
                if event.kind != EventKind.FAILURE and life.start < event.started_at <= life.end
            ),
        )
        for life in segments_of(place, own, now)[0]
    ]


def _attributes(item: Item) -> tuple[tuple[str, float | str], ...]:
    """How the item was designed and built; what is neither number nor text is left out."""
    values = {f"design {name}": value for name, value in item.design.parameters.items()}
    values |= {f"build {name}": value for name, value in item.build.items()}
    return tuple(
        (name, float(value) if isinstance(value, (int, float)) else value)
        for name, value in sorted(values.items())
        if isinstance(value, (int, float, str))
    )


def usage_sensor(inputs: Sequence[AssetInput], life_unit: str) -> int | None:
    """The nearest usage counter in the unit of life: at the asset, else above, else below. None: life is days."""
    if life_unit == "d":
        return None
    counters = [known for known in inputs if known.input.role == SensorRole.USAGE and known.unit == life_unit]
    counters.sort(key=lambda known: (known.depth > 0, abs(known.depth), known.input.sensor))
    return counters[0].input.sensor if counters else None


def newest_batches(sensors: Sequence[int]) -> dict[int, int]:
    """The batch of the newest reading of each sensor, compacted or hot."""
    wanted = set(sensors)
    found = {sensor: reading.batch for sensor, reading in hot_readings().items() if sensor in wanted}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT sensor_id, batch FROM twins_latestreading WHERE sensor_id = ANY(%s::int[])", [integers(wanted)]
        )
        for sensor, batch in cursor.fetchall():
            found[sensor] = max(batch, found.get(sensor, 0))
    return found


def stale_units(*, now: datetime, limit: int) -> list[int]:
    """At most `limit` assets whose assessment is missing or older than what is known, the longest waiting first.

    Older than: the item installed, the model in force, the readings of its inputs, compacted or hot, what overwrote
    some of them, or an hour.
    Derived, so that nothing can be lost or pile up: whatever happened in between, the newest state gets assessed.
    """
    hot = hot_readings() if _any_is_read() else {}
    batches = [reading.batch for reading in hot.values()]
    with connection.cursor() as cursor:
        cursor.execute(_STALE, [list(hot), batches, now, now - REFRESHED, limit])
        return [row[0] for row in cursor.fetchall()]


def _any_is_read() -> bool:
    """Whether any assessment comes from readings: bodies that wait need not be opened for ages alone."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM twins_assessment WHERE model_id IS NOT NULL "
            "OR source IN ('blend', 'contributors'))"
        )
        return bool(cursor.fetchone()[0])


_STALE = """
WITH fresh(sensor, batch, correction) AS (
    SELECT sensor, batch, 0 FROM unnest(%s::integer[], %s::bigint[]) AS hot(sensor, batch)
    UNION ALL
    -- Whatever is older was assessed since in any case.
    SELECT sensor_id, 0, max(id) FROM twins_correction WHERE found_at > now() - interval '2 hours' GROUP BY sensor_id
), come AS MATERIALIZED (
    SELECT place.path, place.id AS asset, sensor.role IN ('setting', 'usage') AS reaches_down, batch, correction
    FROM fresh
    JOIN twins_assets_sensor sensor ON sensor.id = fresh.sensor
    JOIN twins_assets_asset place ON place.id = sensor.asset_id
), touched AS (
    SELECT unit, max(batch) AS batch, max(correction) AS correction FROM (
        SELECT step.id AS unit, batch, correction FROM come CROSS JOIN LATERAL unnest(come.path) AS step(id)
        UNION ALL
        SELECT unit.id, batch, correction FROM come JOIN twins_assets_asset unit ON unit.path @> ARRAY[come.asset]
        WHERE come.reaches_down
    ) every_one GROUP BY unit
)
SELECT place.asset_id
FROM twins_assets_installation place
JOIN twins_assets_item item ON item.id = place.item_id
JOIN twins_assets_design design ON design.id = item.design_id
JOIN twins_assets_asset unit ON unit.id = place.asset_id
LEFT JOIN twins_healthmodel model ON model.design_id = design.id AND model.status = 'champion'
LEFT JOIN twins_healthpolicy policy ON policy.design_id = design.id
LEFT JOIN twins_assessment known ON known.asset_id = place.asset_id
LEFT JOIN touched ON touched.unit = place.asset_id
WHERE upper_inf(place.period) AND lower(place.period) <= %s
  AND (design.expected_life IS NOT NULL OR model.id IS NOT NULL OR policy.contributors <> '[]')
  AND (known.asset_id IS NULL OR known.source = 'rollup' OR known.item_id IS DISTINCT FROM place.item_id
       OR known.assessed_at < %s OR model.trained_at > known.assessed_at OR model.id <> known.model_id
       OR (known.model_id IS NOT NULL OR known.source IN ('blend', 'contributors')) AND (
           touched.batch > coalesce(known.data_batch, 0) OR touched.correction > known.correction
           OR EXISTS (SELECT FROM twins_assets_asset below JOIN twins_assets_sensor sensor ON sensor.asset_id = below.id
                   JOIN twins_latestreading newest ON newest.sensor_id = sensor.id
                   WHERE below.path @> ARRAY[unit.id] AND newest.batch > coalesce(known.data_batch, 0))
           OR EXISTS (SELECT FROM twins_assets_sensor sensor
                   JOIN twins_latestreading newest ON newest.sensor_id = sensor.id
                   WHERE sensor.asset_id = ANY(unit.path) AND sensor.role IN ('setting', 'usage')
                     AND newest.batch > coalesce(known.data_batch, 0))))
ORDER BY known.assessed_at NULLS FIRST, place.asset_id
LIMIT %s
"""
