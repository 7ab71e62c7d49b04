"""The player: one batch of all sensors a second, kept until it is acknowledged, through a real socket."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import orjson
import pytest
from django.core.management import CommandError, call_command

from assets.models import Sensor
from config.demo.live import Batch as LiveBatch
from config.demo.live import LivePlant, Outcome, Player, Sender
from config.demo.loader import load_readings
from config.demo.register import DemoPlant, lake_keys, register_plant
from config.demo.simulation import Simulation
from tests.waiting import PATIENCE
from twins.models import Batch
from twins.selectors.readings import scan_readings
from twins.services.tokens import authenticate_token, create_token

Fresh = Callable[[], Simulation]
ORIGIN = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=9)


class _Server(ThreadingHTTPServer):
    """Answers with the statuses it is told, then 201, and keeps what it was sent."""

    daemon_threads = True

    def __init__(self, statuses: list[int]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.statuses, self.seen = statuses, list[tuple[str, bytes, str]]()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/ingest"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.seen.append((self.headers["Idempotency-Key"], body, self.headers["Authorization"]))
        self.send_response(self.server.statuses.pop(0) if self.server.statuses else 201)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[_Server]:
    running = _Server([])
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield running
    running.shutdown()
    thread.join()
    running.server_close()


@pytest.fixture
def plant(simulation: Simulation, transactional_db: None) -> DemoPlant:
    return register_plant(simulation=simulation, origin=ORIGIN)


def _sender(url: str, said: list[str]) -> Sender:
    return Sender(url=url, token="secret", say=said.append)


def test_a_second_holds_every_sensor_once_and_is_the_same_when_made_again(plant: DemoPlant, fresh: Fresh) -> None:
    epoch = int(ORIGIN.timestamp()) + 3601
    live = LivePlant(plant, fresh())
    batch = live.second(epoch)
    rows = json.loads(batch.body)
    assert {row["sensor"] for row in rows} == {str(u) for u in Sensor.objects.values_list("uuid", flat=True)}
    assert len(rows) == 249
    assert {row["time"] for row in rows} == {datetime.fromtimestamp(epoch, UTC).isoformat()}
    assert LivePlant(plant, fresh()).second(epoch) == batch
    assert live.second(epoch + 1).key != batch.key


def test_what_was_missed_is_sent_on_the_grid_of_the_history(plant: DemoPlant, fresh: Fresh) -> None:
    batches = list(LivePlant(plant, fresh()).missed(since=ORIGIN, until=ORIGIN + timedelta(hours=9)))
    assert [sorted({row["time"] for row in json.loads(b.body)}) for b in batches] == [
        [(ORIGIN + timedelta(hours=h)).isoformat() for h in (4, 8)]
    ]


def test_a_refused_or_unanswered_batch_is_sent_again_with_its_key_and_in_order(server: _Server) -> None:
    server.statuses = [503, 401, 201]
    said: list[str] = []
    player = _player(_sender(server.url, said))
    for name in ("a", "b"):
        player.offer(LiveBatch(name, b"[]"))
    _flush(player, lambda: len(server.seen) >= 4)
    assert [key for key, _, _ in server.seen] == ["a", "a", "a", "b"]
    assert {authorization for _, _, authorization in server.seen} == {"Bearer secret"}
    assert len(said) == 2


def test_a_server_that_is_away_costs_nothing_but_time(server: _Server) -> None:
    said: list[str] = []
    sender = _sender("http://127.0.0.1:1/ingest", said)
    assert sender.send(LiveBatch("a", b"[]")) is Outcome.LATER
    assert "will be sent again" in said[0]
    assert _sender(server.url, said).send(LiveBatch("a", b"[]")) is Outcome.KEPT


@pytest.mark.parametrize("status", [400, 409, 413, 422])
def test_a_batch_that_can_never_be_taken_is_left(server: _Server, status: int) -> None:
    server.statuses = [status]
    said: list[str] = []
    assert _sender(server.url, said).send(LiveBatch("a", b"[]")) is Outcome.NEVER
    assert said == [f"a: {status} {{}}"]


def test_a_full_backlog_gives_up_the_oldest_and_says_so() -> None:
    said: list[str] = []
    sent: list[str] = []

    def keep(batch: LiveBatch) -> Outcome:
        sent.append(batch.key)
        return Outcome.KEPT

    player = Player(live=_nothing(), send=keep, say=said.append, backlog=2)
    for name in ("a", "b", "c"):
        player.offer(LiveBatch(name, b"[]"))
    player.flush(threading.Event())
    assert said == ["the backlog is full; a is given up"]
    assert sent == ["b", "c"]


def test_the_player_plays_every_second_until_it_is_stopped(plant: DemoPlant, server: _Server, fresh: Fresh) -> None:
    stop = threading.Event()
    said: list[str] = []
    begun = int(time.time())
    Player(live=LivePlant(plant, fresh()), send=_stopping_after(server, stop, said), say=said.append).play(stop)
    seconds = [json.loads(body)[0]["time"] for key, body, _ in server.seen if "second" in key]
    times = [datetime.fromisoformat(text) for text in seconds]
    assert len(times) == 3
    assert times == [times[0] + timedelta(seconds=i) for i in range(3)]
    assert begun < times[0].timestamp() and times[-1].timestamp() <= time.time()
    assert server.seen[0][0].split()[2] == "missed"


def test_live_readings_reach_the_lake_through_the_ingest_address(
    plant: DemoPlant, simulation: Simulation, live_server: object, fresh: Fresh
) -> None:
    load_readings(plant=plant, simulation=simulation, last=1)
    _, token = create_token(name="demo player", scopes=["ingest"])
    said: list[str] = []
    sender = Sender(url=f"{live_server.url}/ingest", token=token, say=said.append)  # type: ignore[attr-defined]
    batch = LivePlant(plant, fresh()).second(int(ORIGIN.timestamp()) + 77)
    assert [sender.send(batch), sender.send(batch)] == [Outcome.KEPT, Outcome.KEPT]
    assert said == []
    assert Batch.objects.count() == 2
    assert scan_readings(sensors=lake_keys(plant), start=ORIGIN).num_rows == 249


@pytest.mark.django_db(transaction=True)
def test_without_a_plant_the_command_says_what_to_do() -> None:
    with pytest.raises(CommandError, match="load_demo"):
        call_command("play_demo")


@pytest.mark.django_db(transaction=True)
def test_the_token_is_kept_for_its_owner_only_and_made_again_when_revoked(tmp_path: Path) -> None:
    from config.management.commands.play_demo import _token
    from twins.services.tokens import revoke_token

    file = tmp_path / "demo.token"
    first = _token(file)
    assert (file.stat().st_mode & 0o777, _token(file)) == (0o600, first)
    found = authenticate_token(plaintext=first)
    assert found and found.scopes == ["ingest"]
    revoke_token(name=found.name)
    assert _token(file) != first
    assert (file.stat().st_mode & 0o777, file.read_text().strip()) == (0o600, _token(file))


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="is not an http address"):
        _sender("127.0.0.1:8000/ingest", [])


def _player(sender: Sender) -> Player:
    return Player(live=_nothing(), send=sender.send, say=lambda line: None)


def _nothing() -> LivePlant:
    """A live plant for players whose batches are made by the test."""
    return LivePlant.__new__(LivePlant)


def _flush(player: Player, done: object) -> None:
    end = time.monotonic() + PATIENCE
    while not done() and time.monotonic() < end:  # type: ignore[operator]
        player.flush(threading.Event())
        time.sleep(0.05)


def _stopping_after(server: _Server, stop: threading.Event, said: list[str]) -> object:
    sender = _sender(server.url, said)

    def send(batch: LiveBatch) -> Outcome:
        outcome = sender.send(batch)
        if len([1 for key, _, _ in server.seen if "second" in key]) == 3:
            stop.set()
        return outcome

    return send


def test_rows_are_plain_json(plant: DemoPlant, fresh: Fresh) -> None:
    row = orjson.loads(LivePlant(plant, fresh()).second(int(ORIGIN.timestamp()) + 5).body)[0]
    assert set(row) == {"sensor", "time", "value"}
