"""PostGraphile v5 from npm on tables of its own: the same plant in a narrow form, without any permission.

That is in its favour: no right is asked for, and its rows are shorter.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import psutil  # type: ignore[import-untyped]
from django.db import connection

from tests.benchmarks._service import free_port

_TABLES = """
CREATE SCHEMA peer;
CREATE TABLE peer.asset AS SELECT id, parent_id, tag, name, level FROM twins_assets_asset;
CREATE TABLE peer.health AS SELECT asset_id, health AS score, coverage FROM twins_assessment;
CREATE TABLE peer.sensor AS SELECT s.id, s.asset_id, s.name, s.unit, r.value AS latest_value, r.time AS latest_time
    FROM twins_assets_sensor s LEFT JOIN twins_latestreading r ON r.sensor_id = s.id;
ALTER TABLE peer.asset ADD PRIMARY KEY (id), ADD FOREIGN KEY (parent_id) REFERENCES peer.asset;
ALTER TABLE peer.health ADD PRIMARY KEY (asset_id), ADD FOREIGN KEY (asset_id) REFERENCES peer.asset;
ALTER TABLE peer.sensor ADD PRIMARY KEY (id), ADD FOREIGN KEY (asset_id) REFERENCES peer.asset;
CREATE INDEX ON peer.asset (parent_id, level, tag);
CREATE INDEX ON peer.asset (tag);
CREATE INDEX ON peer.sensor (asset_id, name);
CREATE INDEX ON peer.health (score);
"""
QUERIES = {
    "a": """query($s: BigInt!) { assetByRowId(rowId: $s) { name healthByAssetId { score }
        assetsByParentId(orderBy: TAG_ASC, first: 100) { nodes { name healthByAssetId { score }
        assetsByParentId(orderBy: TAG_ASC, first: 50) { nodes { name healthByAssetId { score coverage }
        sensorsByAssetId(orderBy: NAME_ASC, first: 4) { nodes { name unit latestValue latestTime } } } } } } } }""",
    "b": """query($s: BigInt!) { assetByRowId(rowId: $s) { assetsByParentId(orderBy: TAG_ASC, first: 50) { nodes {
        name healthByAssetId { score } assetsByParentId(orderBy: TAG_ASC, first: 20) { nodes {
        name healthByAssetId { score coverage } } } } } } }""",
    "c": """query($p: BigInt!) { assetByRowId(rowId: $p) { name healthByAssetId { score coverage }
        assetByParentId { name healthByAssetId { score } assetByParentId { name healthByAssetId { score } } }
        sensorsByAssetId(orderBy: NAME_ASC, first: 4) { nodes { name unit latestValue latestTime } } } }""",
    "d": """query { allHealth(first: 50, orderBy: [SCORE_ASC]) { nodes { score coverage
        assetByAssetId { name assetByParentId { name assetByParentId { name } } } } } }""",
}


def installed(folder: Path) -> bool:
    """Whether npm could install PostGraphile, and a node that is new enough for it, into the folder."""
    if shutil.which("npm") is None:
        return False
    (folder / "package.json").write_text("{}")
    install = ["npm", "install", "--no-audit", "--no-fund", "--silent", "postgraphile@5", "node@22"]
    try:
        done = subprocess.run(install, cwd=folder, capture_output=True, timeout=300, check=False)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def fill() -> None:
    """Copy the plant into the peer's tables."""
    with connection.cursor() as cursor:
        cursor.execute("DROP SCHEMA IF EXISTS peer CASCADE")
        cursor.execute(_TABLES)


def _url() -> str:
    """The database in force, as node takes it: a socket stands behind the question mark."""
    known = {name: quote(str(connection.settings_dict[name]), safe="") for name in ("USER", "PASSWORD", "NAME")}
    host, port = quote(connection.settings_dict["HOST"], safe=""), connection.settings_dict["PORT"] or 5432
    return f"postgres://{known['USER']}:{known['PASSWORD']}@localhost:{port}/{known['NAME']}?host={host}"


@contextmanager
def serving(folder: Path) -> Iterator[tuple[str, psutil.Process]]:
    """Its address and its process, until the block ends; production settings, no pages."""
    port = free_port()
    (folder / "graphile.config.mjs").write_text(
        'import { PostGraphileAmberPreset } from "postgraphile/presets/amber";\n'
        'import { makePgService } from "postgraphile/adaptors/pg";\n'
        "export default { extends: [PostGraphileAmberPreset],\n"
        '  pgServices: [makePgService({ connectionString: process.env.PEER_DATABASE, schemas: ["peer"] })],\n'
        f'  grafserv: {{ port: {port}, host: "127.0.0.1", graphiql: false }} }};\n'
    )
    node, program = folder / "node_modules/node/bin/node", folder / "node_modules/postgraphile/dist/cli-run.js"
    environment = {**os.environ, "PEER_DATABASE": _url(), "NODE_ENV": "production", "GRAPHILE_ENV": "production"}
    with (folder / "log").open("w") as log:
        child = subprocess.Popen([str(node), str(program)], cwd=folder, env=environment, stdout=log, stderr=log)
        try:
            yield f"http://127.0.0.1:{port}/graphql", psutil.Process(child.pid)
        finally:
            child.terminate()
            child.wait(20)
