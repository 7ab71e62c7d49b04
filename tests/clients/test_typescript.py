"""A strict TypeScript project whose types come from the exported schema compiles, and what it compiled to works."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from django.core.management import call_command

from twins.services.tokens import create_token

pytestmark = pytest.mark.full


def _run(folder: Path, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True, timeout=600, check=False
    )


@pytest.fixture
def generated(npm: Path) -> Path:
    call_command("export_schema", "--output", str(npm / "schema.graphql"))
    done = _run(npm, "npx", "--no-install", "graphql-codegen", "--config", "codegen.json")
    assert done.returncode == 0, done.stdout + done.stderr
    return npm


def test_a_client_is_compiled_from_the_schema_and_asks_by_persisted_document(
    live_server_asgi: str, generated: Path
) -> None:
    from assets.services import NewAsset, create_assets

    create_assets(rows=[NewAsset(tag="P", name="plant", level="system")])
    done = _run(generated, "npx", "--no-install", "tsc")
    assert done.returncode == 0, done.stdout
    call_command("persist_documents", str(generated / "src" / "gql" / "persisted-documents.json"))
    _, token = create_token(name="app", scopes=["read"])
    done = _run(generated, "node", "run.mjs", URL=f"{live_server_asgi}/graphql/", TOKEN=token, TAG="P")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"system": {"name": "plant", "health": None, "products": {"nodes": []}}}


def test_what_does_not_fit_the_schema_does_not_compile(generated: Path) -> None:
    wrong = generated / "src" / "wrong.ts"
    wrong.write_text((generated / "wrong.ts").read_text())
    try:
        done = _run(generated, "npx", "--no-install", "tsc", "--noEmit")
    finally:
        wrong.unlink()
    lines = re.findall(r"src/wrong\.ts\((\d+),\d+\): error", done.stdout)
    assert sorted(set(map(int, lines))) == [5, 6, 7, 8, 9]
