"""Sensors, and readings as plain tuples. Models are imported late: pytest may read this before Django is set up."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

NOW = datetime(2026, 6, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _nothing_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a process remembers of the register for some seconds is of another test, and of this one until it ends:
    however long a test takes, it counts the same statements, and sees whoever trusts what it remembers too long."""
    from twins.selectors import known
    from twins.services import principals, series

    known.forget()
    series.RULES.forget()
    principals.forget_senders()
    monkeypatch.setattr(known, "REMEMBERED", 3600.0)
    monkeypatch.setattr(series, "REMEMBERED", 3600.0)
    monkeypatch.setattr(principals._senders, "_seconds", 3600.0)


@pytest.fixture
def collector_at_rest() -> Iterator[None]:
    """What other tests have left is not walked through meanwhile, as little as a server walks through its modules."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def sensor_keys(transactional_db: None) -> list[int]:
    """Lake keys of five sensors at one asset; what the test does is committed."""
    from assets.models import Sensor
    from assets.services import NewAsset, create_assets, create_sensors

    top = create_assets(rows=[NewAsset(tag="P1", name="plant", level="system")])["P1"]
    return [s.pk for s in create_sensors(sensors=[Sensor(asset=top, name=f"s{i}", quantity="x") for i in range(5)])]


@pytest.fixture(scope="session")
def readings_of() -> Callable[[Sequence[tuple[int, datetime, float]]], pa.Table]:
    """An Arrow table as a caller of acceptance makes it, from (sensor, time, value)."""

    def make(rows: Sequence[tuple[int, datetime, float]]) -> pa.Table:
        columns: list[Any] = list(zip(*rows, strict=True)) or [(), (), ()]
        types = {"sensor": pa.int32(), "time": pa.timestamp("us", "UTC"), "value": pa.float64()}
        table = pa.table({n: pa.array(c, t) for c, (n, t) in zip(columns, types.items(), strict=True)})
        return table.append_column("quality", pa.array([0] * len(rows), pa.int32()))

    return make


@pytest.fixture
def accept(transactional_db: None, readings_of: Callable[..., pa.Table]) -> Callable[..., Any]:
    """Accept (sensor, time, value) rows as the world does, at a fixed `now`."""
    from twins.services.ingestion import accept_readings

    def send(rows: Sequence[tuple[int, datetime, float]], source: str = "gateway", key: str | None = None) -> Any:
        return accept_readings(readings=readings_of(rows), source=source, key=key, now=NOW)

    return send


@pytest.fixture
def scanned() -> Callable[..., list[tuple[int, datetime, float]]]:
    """What a scan of some sensors gives, as (sensor, time, value)."""
    from twins.selectors.readings import scan_readings

    def scan(sensors: Sequence[int], **window: datetime) -> list[tuple[int, datetime, float]]:
        table = scan_readings(sensors=sensors, **window)
        return list(zip(*(table[name].to_pylist() for name in ("sensor", "time", "value")), strict=True))

    return scan


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """Options of the URI of a bucket `plant` of a server of its own."""
    from moto.server import ThreadedMotoServer
    from pyarrow.fs import FileSystem

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    options = f"endpoint_override=127.0.0.1:{server.get_host_and_port()[1]}&scheme=http&region=us-east-1"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        files, _ = FileSystem.from_uri(f"s3://plant?{options}&allow_bucket_creation=true")
        files.create_dir("plant")
        yield options
    server.stop()


@pytest.fixture(params=["directory", "bucket"])
def place(request: Any, settings: Any, tmp_path: Any) -> Any:
    """Where the lake of this test is."""
    if request.param == "bucket":
        uri = f"s3://plant/{tmp_path.name}?{request.getfixturevalue('s3')}"
        settings.TWINS = {**settings.TWINS, "LAKE": uri}
    return settings.TWINS["LAKE"]
