"""Who is compared: one that answers queries over HTTP, how it is asked, and what the kernel says it has used."""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import psutil  # type: ignore[import-untyped]


@dataclass
class Server:
    """Somebody who answers; `cpu` is what the request costs beside PostgreSQL."""

    name: str
    process: psutil.Process
    ask: Callable[[str], bytes]
    costs: dict[str, list[float]] = field(default_factory=dict)
    """Milliseconds of processor time a request, by query, one for each turn."""
    waits: dict[str, list[float]] = field(default_factory=dict)
    """Milliseconds until the answer was there."""


def asking(
    url: str, path: str | None, headers: Callable[[], Mapping[str, str]], bodies: Mapping[str, bytes]
) -> Callable[[str], bytes]:
    """Asks over one connection that stays open; without a path it is the name of the query."""
    parts = urlsplit(url)
    client = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)

    def send(query: str) -> http.client.HTTPResponse:
        client.request("POST", path or f"/{query}", bodies[query], dict(headers()))
        return client.getresponse()

    def ask(query: str) -> bytes:
        try:
            answer = send(query)
        except (ConnectionError, http.client.HTTPException):
            # While the others had their turns, it was closed for being idle.
            client.close()
            answer = send(query)
        body = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{url} answers {answer.status}: {body[:500]!r}")
        return body

    return ask


def wait_for_port(url: str) -> None:
    """Wait until a GraphQL server answers; raises RuntimeError after a minute."""
    parts = urlsplit(url)
    for _ in range(300):
        try:
            client = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=5)
            client.request("POST", "/graphql", b'{"query":"{__typename}"}', {"Content-Type": "application/json"})
            if client.getresponse().status == 200:
                return
        except OSError:
            pass
        time.sleep(0.2)
    raise RuntimeError("PostGraphile does not answer.")


def nanoseconds(pid: int) -> int:
    """Processor time of a process as the scheduler counts it; psutil counts in hundredths of a second."""
    total = 0
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            total += int((task / "schedstat").read_text().split()[0])
    except (OSError, ValueError):
        pass
    return total
