"""The built wheel in somebody else's project: `assets` and `twins` alone, everything at the host's addresses."""

from __future__ import annotations

import asyncio
import importlib.metadata
import json
import os
import shutil
import socket
import subprocess
import sys
import uuid
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psycopg
import pytest
import websockets
from psycopg.conninfo import make_conninfo

from tests.databases import drop_database
from tests.waiting import PATIENCE, wait_until

pytestmark = pytest.mark.full

ROOT = Path(__file__).resolve().parents[2]
PREFIX = "/plant/twins"
REGISTER = """
import django
django.setup()
from assets.models import Sensor
from assets.services import NewAsset, create_assets, create_sensors, give_role
from plantco.people.models import Person
ada = Person.objects.create_user("ada@plantco.example")
plant = create_assets(rows=[NewAsset(tag="K", name="kiln", level="system")])["K"]
give_role(role="viewer", user=ada, asset=plant)
print(create_sensors(sensors=[Sensor(asset=plant, name="T", quantity="temperature", unit="Cel")])[0].uuid)
"""


@dataclass(frozen=True)
class Host:
    """The project with the wheel installed beside it, on a database of its own."""

    environment: dict[str, str]
    folder: Path

    def run(self, *arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments],
            check=False,
            cwd=self.folder,
            env={**self.environment, **changes},
            capture_output=True,
            text=True,
            timeout=600,
        )

    def manage(self, *arguments: str) -> str:
        done = self.run("-m", "django", *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, so that the working tree stays as it is."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in ("assets", "twins", "config", "tests"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    recent = int(importlib.metadata.version("setuptools").split(".")[0]) >= 80
    build = ["-m", "build", "--wheel", "--no-isolation", "-o", str(out), str(source)]
    fetch = ["-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(out), str(source)]
    done = subprocess.run([sys.executable, *(build if recent else fetch)], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return next(out.glob("*.whl"))


@pytest.fixture(scope="session")
def host(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    folder, target = tmp_path_factory.mktemp("host"), tmp_path_factory.mktemp("site")
    install = ["-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(target), str(wheel)]
    subprocess.run([sys.executable, *install], check=True, capture_output=True)
    shutil.copytree(Path(__file__).parent / "plantco", folder / "plantco")
    name, server = f"plantco_{uuid.uuid4().hex[:8]}", os.environ["DATABASE_URL"]
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'")
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "PYTHONPATH": os.pathsep.join([str(target), str(folder)]),
            "DJANGO_SETTINGS_MODULE": "plantco.settings",
            "DATABASE_URL": make_conninfo(server, dbname=name),
            "REDIS_URL": os.environ["REDIS_URL"],
            "PLANTCO_LAKE": str(folder / "lake"),
        }
        host = Host(environment, folder)
        host.manage("migrate", "--verbosity", "0")
        yield host
        drop_database(admin, name)


@pytest.fixture(scope="session")
def server(host: Host) -> Iterator[str]:
    """Host and port where the host project serves."""
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        place = f"127.0.0.1:{chosen.getsockname()[1]}"
    command = [sys.executable, "-m", "uvicorn", "plantco.asgi:application", "--lifespan", "off", "--port", place[10:]]
    command += ["--http", "twins.http.protocol:KnowingProtocol", "--no-access-log"]
    log = (host.folder / "uvicorn.log").open("w")
    child = subprocess.Popen(command, cwd=host.folder, env=host.environment, stdout=log, stderr=log)
    try:
        wait_until(lambda: child.poll() is not None or _answers(place), said=(host.folder / "uvicorn.log").read_text)
        assert child.poll() is None, (host.folder / "uvicorn.log").read_text()
        yield place
    finally:
        child.terminate()
        child.wait(PATIENCE)


def _answers(place: str) -> bool:
    try:
        httpx.get(f"http://{place}/", timeout=PATIENCE)
    except httpx.TransportError:
        return False
    return True


def test_the_wheel_holds_assets_and_twins_only(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"assets", "twins"}
    shipped = {name for name in names if not name.endswith(".py") and ".dist-info/" not in name}
    there = {
        str(path.relative_to(ROOT))
        for app in ("assets", "twins")
        for path in (ROOT / app).rglob("*")
        if path.is_file() and path.suffix != ".py" and "__pycache__" not in path.parts
    }
    assert shipped == there


def test_the_host_uses_what_was_installed(host: Host) -> None:
    done = host.run("-c", "import assets, twins; print(assets.__file__, twins.__file__)")
    assert all(str(ROOT) not in place for place in done.stdout.split())
    assert host.run("-c", "import config").returncode != 0


def test_the_checks_are_content_and_nothing_is_left_to_migrate(host: Host) -> None:
    host.manage("check", "--database", "default", "--fail-level", "WARNING")
    host.manage("makemigrations", "--check", "--dry-run")


def test_tables_carry_the_prefix_of_their_app(host: Host) -> None:
    with psycopg.connect(host.environment["DATABASE_URL"]) as database:
        tables = [
            name
            for (name,) in database.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
            if not name.startswith(("django_", "auth_", "people_"))
        ]
    assert tables
    assert all(name.startswith(("twins_assets_", "twins_")) for name in tables)


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("no assets", "The register is missing: add 'assets' to INSTALLED_APPS"),
        ("unknown key", "TWINS has the unknown key 'RETENTION': remove it"),
        ("no Redis", "TWINS['REDIS_URL'] is missing: set it to the address"),
    ],
)
@pytest.mark.parametrize("start", [("-m", "django", "check"), ("-c", "import plantco.asgi")], ids=["check", "server"])
def test_a_host_that_is_not_complete_is_refused_at_start(
    host: Host, fault: str, sentence: str, start: tuple[str, str]
) -> None:
    done = host.run(*start, PLANTCO_FAULT=fault)
    assert done.returncode != 0
    assert sentence in done.stderr.strip().splitlines()[-1]


def test_the_path_from_a_reading_to_a_subscriber_works_at_the_host_s_addresses(host: Host, server: str) -> None:
    done = host.run("-c", REGISTER)
    assert done.returncode == 0, done.stderr
    sensor = done.stdout.strip()
    token = host.manage("create_token", "erp", "--scope", "read", "--scope", "ingest", "--user", "ada@plantco.example")
    row = {"sensor": sensor, "time": "2026-03-01T12:00:00Z", "value": 812.5}
    headers = {"Authorization": f"Bearer {token}"}

    async def story() -> None:
        address = f"ws://{server}{PREFIX}/graphql/"
        query = "subscription { readings { value sensor { name } } }"
        async with (
            httpx.AsyncClient(
                verify=False, base_url=f"http://{server}{PREFIX}", headers=headers, timeout=PATIENCE
            ) as http,
            websockets.connect(address, subprotocols=[websockets.Subprotocol("graphql-transport-ws")]) as live,
        ):
            await live.send(json.dumps({"type": "connection_init", "payload": headers}))
            assert json.loads(await live.recv()) == {"type": "connection_ack"}
            await live.send(json.dumps({"type": "subscribe", "id": "1", "payload": {"query": query}}))
            assert json.loads(await live.recv())["payload"] == {"data": {"readings": []}}
            answer = await http.post("/ingest", json=[row])
            assert (answer.status_code, answer.json()["accepted"]) == (201, 1)
            told = json.loads(await asyncio.wait_for(live.recv(), PATIENCE))
            assert told["payload"] == {"data": {"readings": [{"value": 812.5, "sensor": {"name": "T"}}]}}
            asked = {"query": '{ system(tag: "K") { name sensors { nodes { latest { value } } } } }'}
            latest = {"system": {"name": "kiln", "sensors": {"nodes": [{"latest": {"value": 812.5}}]}}}
            assert (await http.post("/graphql/", json=asked)).json() == {"data": latest}

    asyncio.run(story())
    with psycopg.connect(host.environment["DATABASE_URL"]) as database:
        assert database.execute("SELECT count(*) FROM twins_batch").fetchone() == (1,)


def test_a_refused_body_changes_nothing_and_a_stranger_is_sent_to_the_host_s_login(host: Host, server: str) -> None:
    token = host.manage("create_token", "sender", "--scope", "ingest")
    with httpx.Client(verify=False, base_url=f"http://{server}{PREFIX}", timeout=PATIENCE) as http:
        refused = http.post("/ingest", json=[{}], headers={"Authorization": f"Bearer {token}"})
        assert refused.status_code == 422
        assert http.post("/graphql/", json={"query": "{ __typename }"}).status_code == 401
        page = http.get("/graphql/", headers={"Accept": "text/html"})
        assert page.headers["Location"] == f"/people/sign-in/?next={PREFIX}/graphql/"
