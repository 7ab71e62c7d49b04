"""The audits of GraphQL over HTTP that the specification's own reference server is held to."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from twins.services.tokens import create_token


@pytest.mark.full
def test_every_audit_of_graphql_over_http_passes(live_server_asgi: str, npm: Path) -> None:
    _, token = create_token(name="audit", scopes=["read", "introspect"])
    environment = {**os.environ, "URL": f"{live_server_asgi}/graphql/", "TOKEN": token}
    done = subprocess.run(
        ["node", "audit.mjs"], cwd=npm, env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr
    audits = [json.loads(line) for line in done.stdout.splitlines()]
    assert [audit for audit in audits if audit["status"] != "ok"] == []
    assert len(audits) == 61
