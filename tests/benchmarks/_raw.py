"""The least that can answer over HTTP: one prepared statement a request on one open connection, its text as the body.

Runs in a process of its own under the same web server as the service: `uvicorn tests.benchmarks._raw:application`.
"""

from __future__ import annotations

import os
from typing import Any

import orjson
import psycopg

_PARAMETERS = orjson.loads(os.environ.get("RAW_PARAMETERS", "{}"))
_STATEMENTS = orjson.loads(os.environ.get("RAW_STATEMENTS", "{}"))
_open: list[psycopg.Connection[Any]] = []


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Answer POST /NAME with what the statement of that name gives."""
    while (await receive()).get("more_body"):
        pass
    body = b"{}"
    if scope["path"] != "/":
        body = _answer(_STATEMENTS[scope["path"][1:]])
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _answer(statement: str) -> bytes:
    if not _open:
        url = os.environ["RAW_DATABASE"]
        _open.append(psycopg.connect(url, autocommit=True))
    row = _open[0].execute(statement, _PARAMETERS, prepare=True).fetchone()
    assert row is not None
    text: str = row[0]
    return text.encode()
