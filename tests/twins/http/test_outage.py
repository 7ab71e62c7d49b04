"""A database that is away: whoever sends is told to come again, at every door, and no door breaks."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import websockets

from config import supervisor
from tests.waiting import PATIENCE, wait_until

ROOT = Path(__file__).resolve().parents[3]
TOKEN = {"Authorization": "Bearer twins_" + "A" * 43}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Host and port of a server whose database does not answer."""
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        port = chosen.getsockname()[1]
    folder = tmp_path_factory.mktemp("outage")
    environment = {**os.environ, "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing", "TWINS_DATA": str(folder)}
    command = supervisor.web_server(host="127.0.0.1", port=port)
    with (folder / "log").open("w") as log:
        child = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
        try:
            wait_until(lambda: child.poll() is not None or _listens(port), said=(folder / "log").read_text)
            assert child.poll() is None, (folder / "log").read_text()
            yield f"127.0.0.1:{port}"
        finally:
            child.terminate()
            child.wait(PATIENCE)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize(
    ("path", "content"), [("/ingest", [{"sensor": "x"}]), ("/graphql/", {"query": "{ __typename }"})]
)
def test_a_request_is_put_off(place: str, path: str, content: object) -> None:
    answer = httpx.post(f"http://{place}{path}", json=content, headers=TOKEN, timeout=PATIENCE)
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    message = answer.json()["errors"][0]["message"]
    assert "send the request again" in message
    assert "127.0.0.1" not in message


def test_a_socket_is_put_off(place: str) -> None:
    async def story() -> None:
        protocol = websockets.Subprotocol("graphql-transport-ws")
        async with websockets.connect(f"ws://{place}/graphql/", subprotocols=[protocol]) as live:
            await live.send(json.dumps({"type": "connection_init", "payload": TOKEN}))
            await asyncio.wait_for(live.wait_closed(), PATIENCE)
            assert live.close_code == 1013

    asyncio.run(story())


def test_a_socket_whose_session_cannot_be_read_is_refused(place: str) -> None:
    async def story() -> None:
        headers = {"Cookie": "sessionid=" + "a" * 32}
        protocol = websockets.Subprotocol("graphql-transport-ws")
        with pytest.raises(websockets.InvalidStatus) as refused:
            await websockets.connect(
                f"ws://{place}/graphql/", subprotocols=[protocol], additional_headers=headers, origin=f"http://{place}"
            )
        assert refused.value.response.status_code == 403

    asyncio.run(story())


def test_a_socket_to_another_address_is_refused(place: str) -> None:
    async def story() -> None:
        with pytest.raises(websockets.InvalidStatus) as refused:
            await websockets.connect(f"ws://{place}/nowhere")
        assert refused.value.response.status_code == 403

    asyncio.run(story())
