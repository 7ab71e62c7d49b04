"""A sensor, tokens and clients for tests over a real socket. Models are imported late: pytest reads this first."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import httpx
import pyarrow as pa
import pytest

from tests.twins.http.gateways import Gateway
from tests.waiting import PATIENCE

if TYPE_CHECKING:
    from assets.models import Sensor

NOON = 1_772_366_400_000_000


@pytest.fixture
def sensor(live_server_asgi: str) -> Sensor:
    from assets.models import Sensor
    from assets.services import NewAsset, create_assets, create_sensors

    top = create_assets(rows=[NewAsset(tag="P1", name="plant", level="system")])["P1"]
    return create_sensors(sensors=[Sensor(asset=top, name="T", quantity="temperature", unit="Cel")])[0]


@pytest.fixture
def token(live_server_asgi: str) -> str:
    from twins.services.tokens import create_token

    return create_token(name="gateway", scopes=["ingest"])[1]


@pytest.fixture
def client(live_server_asgi: str, token: str) -> Iterator[httpx.Client]:
    """Carries a token that may send readings."""
    with httpx.Client(
        verify=False, base_url=live_server_asgi, headers={"Authorization": f"Bearer {token}"}, timeout=PATIENCE
    ) as client:
        yield client


@pytest.fixture
def anonymous(live_server_asgi: str) -> Iterator[httpx.Client]:
    with httpx.Client(verify=False, base_url=live_server_asgi, timeout=PATIENCE) as client:
        yield client


@pytest.fixture
def content(sensor: Sensor) -> Callable[..., bytes]:
    """A body of three readings, all of one value or of one that is not finite."""

    def make(value: float, *, rows: int = 3) -> bytes:
        names = pa.DictionaryArray.from_arrays(
            pa.array([0] * rows, pa.int32()), pa.array([sensor.uuid.bytes]).cast(pa.binary(16))
        )
        times = pa.array([NOON + row for row in range(rows)]).cast(pa.timestamp("us", "UTC"))
        table = pa.table({"sensor": names, "time": times, "value": pa.array([value] * rows)})
        sink = io.BytesIO()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        return sink.getvalue()

    return make


@pytest.fixture
def gateway(client: httpx.Client, content: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch) -> Iterator[Gateway]:
    """One whose requests are answered without a thread by now."""
    from twins.http import alone
    from twins.models import Batch
    from twins.selectors import known
    from twins.services import pressure, principals, series

    gateway, plain = Gateway(client, content), alone._threads.taking.do

    def counted(*args: Any) -> None:
        gateway.by_thread += 1
        plain(*args)

    monkeypatch.setattr(alone._threads.taking, "do", counted)
    # pytest listens to every logger; a server that logs each request answers none without uvicorn.
    monkeypatch.setattr(logging.getLogger("uvicorn.access"), "hasHandlers", lambda: False)
    # What is remembered for some seconds is looked up by a thread, and the test may take longer.
    for module, name in ((pressure, "ASKED_EVERY"), (known, "REMEMBERED"), (series, "REMEMBERED")):
        monkeypatch.setattr(module, name, 3600.0)
    monkeypatch.setattr(principals._senders, "_seconds", 3600.0)
    gateway.warm()
    Batch.objects.all().delete()
    yield gateway
    pressure.look_again()
    principals.forget_senders()
