"""The main job as a newcomer sees it: `up --demo`, then query, subscription, admin and health of a plant that lives."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import psutil
import pytest
from websockets.asyncio.client import connect

from tests.pace import within
from tests.waiting import PATIENCE

PLANT = """
{ systems(first: 1) { nodes { tag health { score worst { tag } }
    systems(first: 5) { nodes { tag health { score }
      products(first: 20) { nodes { tag health { score }
        parts(first: 20) { nodes { tag health { score coverage source drivers { input points } }
          sensors(first: 20) { nodes { name role latest { time value } } } } } } } } } } } }
"""
# A minute of loading and learning.
pytestmark = pytest.mark.full

WORST = "{ worst(level: PART, first: 3) { nodes { tag name health { score assessedAt } } } }"


@pytest.fixture(scope="module")
def demo(start_up: Callable[..., Any]) -> Iterator[Any]:
    """A running demo; `took` is the processor time in seconds of what came and went until all was learned."""
    up = start_up(arguments=["--demo"])
    up.until(lambda: "load_demo is done" in up.said(), 900)
    times = psutil.Process(up.process.pid).cpu_times()
    up.took = times.children_user + times.children_system
    yield up
    up.stop()


def test_the_demo_is_usable_soon(demo: Any) -> None:
    assert "the plant is ready" in demo.said()
    assert demo.is_well()
    assert within(demo.took, 240)  # a bound against work without end


def test_one_nested_query_has_every_part_with_health_drivers_and_readings(demo: Any) -> None:
    parts = _parts(_ask(demo, PLANT)["systems"]["nodes"])
    assert len(parts) == 62
    for part in parts:
        assert 0 <= part["health"]["score"] <= 100
        assert 0 <= part["health"]["coverage"] <= 1
        assert part["health"]["drivers"]
        assert all(sensor["latest"] for sensor in part["sensors"]["nodes"])
    assert {part["health"]["source"] for part in parts} == {"MODEL", "AGEING"}


def test_a_system_is_as_healthy_as_its_worst_part_that_counts(demo: Any) -> None:
    plant = _ask(demo, PLANT)["systems"]["nodes"][0]
    assert plant["health"]["score"] == min(train["health"]["score"] for train in plant["systems"]["nodes"])


def test_an_independent_client_receives_live_readings(demo: Any) -> None:
    times = asyncio.run(_watch_readings(demo, updates=3))
    assert times == sorted(times) and times[-1] > times[0]


def test_the_admin_shows_the_worst_part_first(demo: Any) -> None:
    worst = _ask(demo, WORST)["worst"]["nodes"]
    with httpx.Client(verify=False, base_url=demo.url, follow_redirects=True, timeout=PATIENCE) as browser:
        browser.get("/admin/login/")
        form = {"username": "planner", "password": demo.password(), "csrfmiddlewaretoken": browser.cookies["csrftoken"]}
        browser.post("/admin/login/", data=form, headers={"Referer": f"{demo.url}/admin/login/"})
        page = browser.get("/admin/twins/assessment/").text
    rows = re.findall(r"\b(U\d-[A-Z]+-[A-Z]+)\b", page)
    # The plant lives, and another may be worse by now.
    assert rows[0] in {nodes[0]["tag"] for nodes in (worst, _ask(demo, WORST)["worst"]["nodes"])}


def test_live_readings_are_assessed_by_the_worker(demo: Any) -> None:
    before = _newest_assessment(demo)
    demo.until(lambda: _newest_assessment(demo) > before)


def _newest_assessment(demo: Any) -> str:
    return max(node["health"]["assessedAt"] for node in _ask(demo, WORST)["worst"]["nodes"])


def _parts(systems: list[dict[str, Any]]) -> list[dict[str, Any]]:
    trains = [train for system in systems for train in system["systems"]["nodes"]]
    products = [product for train in trains for product in train["products"]["nodes"]]
    return [part for product in products for part in product["parts"]["nodes"]]


def _token(demo: Any) -> str:
    return next(str(word) for word in demo.said().split() if word.startswith("twins_"))


def _ask(demo: Any, query: str) -> Any:
    headers = {"Authorization": f"Bearer {_token(demo)}"}
    answer = httpx.post(f"{demo.url}/graphql/", json={"query": query}, headers=headers, timeout=PATIENCE).json()
    assert "errors" not in answer, answer
    return answer["data"]


async def _watch_readings(demo: Any, *, updates: int) -> list[str]:
    """The newest time of each of some updates that carry readings of every kind of train sensor."""
    address = demo.url.replace("http", "ws") + "/graphql/"
    document = "subscription { readings { time value sensor { name } } }"
    async with connect(address, subprotocols=["graphql-transport-ws"], max_size=None) as socket:  # type: ignore[list-item]
        await socket.send(
            json.dumps({"type": "connection_init", "payload": {"Authorization": f"Bearer {_token(demo)}"}})
        )
        assert json.loads(await socket.recv())["type"] == "connection_ack"
        await socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": {"query": document}}))
        found: list[str] = []
        while len(found) < updates:
            message = json.loads(await asyncio.wait_for(socket.recv(), PATIENCE))
            if message["type"] == "next":
                found.append(max(reading["time"] for reading in message["payload"]["data"]["readings"]))
        return found
