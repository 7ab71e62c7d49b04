"""A sensor, tokens and clients for tests over a real socket. Models are imported late: pytest reads this first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.waiting import PATIENCE

if TYPE_CHECKING:
    from assets.models import Sensor


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
