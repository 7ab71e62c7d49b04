"""A screen of one product: health with drivers and the past of every sensor, beside its SQL and its lake scan alone.

50 parts with 4 sensors each, a reading a minute for five days, and a day of it asked as 200 points a sensor. The parts
are the statement by hand that gives all but the pasts, and the scan of what these sensors said in that day, both asked
in this process; the whole is asked over HTTP with token, permissions and limits, in turns with its parts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import orjson
import pyarrow as pa
from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import connection
from django.test.utils import override_settings

from assets.models import Asset, Sensor
from assets.services import NewAsset, create_assets, give_role
from config.benchmarks import Figure
from tests.benchmarks._mixed import Mixed
from tests.benchmarks._servers import asking
from tests.benchmarks._service import running
from twins.models import Assessment
from twins.selectors.readings import scan_readings
from twins.services.compaction import compact_hot_tail, settle_day
from twins.services.ingestion import accept_readings
from twins.services.tokens import create_token

PARTS, SENSORS, DAYS, POINTS = 50, 4, 5, 200
START = datetime(2026, 1, 1, tzinfo=UTC)
QUERY = """query($tag: String!, $from: DateTime!, $to: DateTime!) { system(tag: $tag) { name products(first: 1) {
    nodes { name health { score drivers { input points } } parts(first: 50) { nodes {
        name health { score coverage drivers { input points } }
        sensors(first: 4) { nodes { name unit series(from: $from, to: $to, points: 200) {
            count readings { time value } } } } } } } } } }"""
_DRIVERS = """coalesce((select string_agg(concat('{"input":', d ->> 'input', ',"points":', d ->> 'points', '}'), ',')
    from jsonb_array_elements(h.drivers) d), '')"""
STATEMENT = f"""select string_agg(concat('{{"name":', to_json(p.name), ',"health":{{"score":', h.health, ',"coverage":',
    h.coverage, ',"drivers":[', {_DRIVERS}, ']}},"sensors":{{"nodes":[', (select string_agg(concat('{{"name":',
    to_json(s.name), ',"unit":', to_json(s.unit), '}}'), ',' order by s.name, s.id) from twins_assets_sensor s
    where s.asset_id = p.id), ']}}}}'), ',' order by p.tag, p.id)
    from twins_assets_asset p join twins_assessment h on h.asset_id = p.id
    where p.path && %s::bigint[] and p.level = 'part'"""


def telemetry(folder: Path, *, rounds: int) -> Iterator[Figure]:
    """`telemetry_vs_parts`, with what it is made of; the service and this process have one lake, below `folder`."""
    with override_settings(TWINS={**settings.TWINS, "LAKE": folder / "lake"}):
        yield from _measured(folder, rounds)


def _measured(folder: Path, rounds: int) -> Iterator[Figure]:
    top = _plant()
    keys = list(Sensor.objects.filter(asset__path__contains=[top.pk]).order_by("pk").values_list("pk", flat=True))
    _fill(keys)
    window = {"start": START + timedelta(days=3), "end": START + timedelta(days=4)}
    user = get_user_model().objects.create_user("watcher")
    give_role(role="viewer", user=user, asset=top)
    token = create_token(name="telemetry", scopes=["read"], user=user)[1]
    given = {"tag": top.tag, "from": window["start"].isoformat(), "to": window["end"].isoformat()}
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    bodies = {"whole": orjson.dumps({"query": QUERY, "variables": given})}
    with running(folder) as service, connection.cursor() as cursor:
        ask = asking(service.url, "/graphql/", lambda: headers, bodies)
        _check(orjson.loads(ask("whole")))
        taken = _taken(
            rounds,
            whole=lambda: ask("whole"),
            sql=lambda: (cursor.execute(STATEMENT, [[top.pk]]), cursor.fetchall()),
            scan=lambda: scan_readings(sensors=keys, **window),
        )
    for name, value in taken.items():
        yield Figure(name=f"telemetry_{name}_ms", value=value, unit="ms")
    ratio = taken["whole"] / (taken["sql"] + taken["scan"])
    yield Figure(name="telemetry_vs_parts", value=ratio, unit="ratio", goal=("<=", 3.0))


def _check(answer: Any) -> None:
    if "errors" in answer:
        raise RuntimeError(f"The answer has errors: {str(answer['errors'])[:500]}")
    (product,) = answer["data"]["system"]["products"]["nodes"]
    parts = product["parts"]["nodes"]
    pasts = [sensor["series"] for part in parts for sensor in part["sensors"]["nodes"]]
    whole = (len(parts), {len(part["health"]["drivers"]) for part in parts}, len(pasts))
    if whole != (PARTS, {5}, PARTS * SENSORS) or {past["count"] for past in pasts} != {1440}:
        raise RuntimeError(f"The answer is not whole: {whole}")
    if not all(POINTS // 2 < len(past["readings"]) <= POINTS for past in pasts):
        raise RuntimeError("A past has not the points that were asked for.")


def _taken(rounds: int, **calls: Callable[[], object]) -> dict[str, float]:
    """Median milliseconds of each, asked in turns."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(rounds + 3):
        for name, call in calls.items():
            begun = time.perf_counter()
            call()
            if number >= 3:
                times[name].append((time.perf_counter() - begun) * 1000)
    return {name: median(some) for name, some in times.items()}


def _plant() -> Asset:
    rows = [
        NewAsset(tag="TELE", name="Plant", level="system"),
        NewAsset(tag="TELE-P", name="Product", level="product", parent="TELE"),
    ]
    rows += [NewAsset(tag=f"TELE-P-{n:02}", name=f"Part {n}", level="part", parent="TELE-P") for n in range(PARTS)]
    assets = create_assets(rows=rows)
    drivers = [{"input": f"input {n}", "points": -3.5 * n} for n in range(5)]
    Assessment.objects.bulk_create(
        Assessment(asset=asset, source="model", health=70.5, coverage=1, drivers=drivers, assessed_at=START)
        for asset in assets.values()
        if asset.level != "system"
    )
    units = {"current": "A", "pressure": "bar", "temperature": "Cel", "vibration": "mm/s"}
    Sensor.objects.bulk_create(
        Sensor(asset=asset, name=name, quantity=name, unit=unit)
        for asset in assets.values()
        if asset.level == "part"
        for name, unit in units.items()
    )
    return assets["TELE"]


def _fill(keys: list[int]) -> None:
    """A reading a minute of each sensor, settled as a day that is over is."""
    start = int(START.timestamp() * 1_000_000)
    mixed = Mixed(len(keys) * 1440 * DAYS, sensors=len(keys), interval=60_000_000, start=start)
    for table in mixed.tables(400_000):
        named = table.set_column(0, "sensor", pa.array(keys, pa.int32()).take(table["sensor"].combine_chunks()))
        answer = accept_readings(readings=named, source="benchmark")
        assert answer.batch is not None, answer.rejects[:3]
    while compact_hot_tail():
        pass
    for number in range(DAYS):
        settle_day(day=(START + timedelta(days=number)).date())
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
