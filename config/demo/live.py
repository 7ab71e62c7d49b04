"""The plant goes on living: one batch of all sensors a second, sent to the ingest address like anyone's readings.

The simulation is a function of seed and time, so a player that was stopped goes on where the plant is by now; what
its loggers kept in between is sent first, four-hourly like the history. A batch keeps its Idempotency-Key until the
server has acknowledged it: a restart of the server loses nothing that the bounded backlog can hold and doubles nothing.
"""

from __future__ import annotations

import http.client
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Final
from urllib.parse import urlsplit

import numpy as np
import orjson
from django.db import DatabaseError, close_old_connections

from assets.exceptions import AssetsError
from config.demo.degradation import Array
from config.demo.history import day_of, grid, instant, simulate_history
from config.demo.register import DemoPlant, plant_sensors, sync_register
from config.demo.signals import Instruments
from config.demo.simulation import STEP_DAYS, Simulation
from twins.selectors.readings import latest_readings

Say = Callable[[str], None]
BACKLOG: Final = 900
"""Batches kept while the server does not answer: a quarter of an hour."""
_INSTANTS: Final = 24
_TIMEOUT = 4.0
_LONGEST_WAIT = 10.0
_REGISTER_EVERY: Final = 30


@dataclass(frozen=True)
class Batch:
    """A request body and the key that makes its repetition safe."""

    key: str
    body: bytes


class Outcome(Enum):
    """What became of a batch: kept, not now (send it again), or never (leave it)."""

    KEPT = "kept"
    LATER = "later"
    NEVER = "never"


class LivePlant:
    """Readings of the plant at any time from now on; `simulation` of its history, when somebody has one already."""

    def __init__(self, plant: DemoPlant, simulation: Simulation | None = None) -> None:
        self.plant = plant
        self._simulation = simulation or simulate_history(seed=plant.seed)
        self._instruments = Instruments(self._simulation, plant.seed)
        self._synced = 0.0
        self.learn_sensors()

    def learn_sensors(self) -> None:
        """Look up the sensors again, after one of them was taken away."""
        self._uuids = [str(sensor.uuid) if sensor else "" for sensor in plant_sensors(self.plant)]
        self._here = np.asarray([bool(uuid) for uuid in self._uuids], dtype=np.bool_)

    def second(self, epoch: int) -> Batch:
        """All readings of one second, given in seconds since 1970."""
        day = day_of(self.plant.origin, datetime.fromtimestamp(epoch, UTC))
        return Batch(f"demo {self.plant.root.pk} second {epoch}", self._body(np.asarray([day]), epoch))

    def missed(self, *, since: datetime, until: datetime) -> Iterator[Batch]:
        """The four-hourly readings between two times, oldest first."""
        origin = self.plant.origin
        days = grid(first=max(day_of(origin, since), 0.0), last=day_of(origin, until))
        for start in range(0, len(days), _INSTANTS):
            part = days[start : start + _INSTANTS]
            number = round(float(part[0]) * 86_400)
            yield Batch(f"demo {self.plant.root.pk} missed {number} {len(part)}", self._body(part, number))

    def last_reading(self) -> datetime:
        """Time of the newest reading of the plant's first sensor, else the origin."""
        first = next((sensor for sensor in plant_sensors(self.plant) if sensor), None)
        found = latest_readings([first.pk]) if first else {}
        return max([reading.time for reading in found.values()] + [self.plant.origin])

    def sync(self, now: datetime) -> int:
        """Write the failures and replacements that are due by `now` to the register; how many items came in."""
        day = day_of(self.plant.origin, now)
        self._simulation.run(until=day + STEP_DAYS)
        if not self._anything_due(day):
            return 0
        came = sync_register(plant=self.plant, simulation=self._simulation, day=day)
        self._synced = day
        return came

    def _anything_due(self, day: float) -> bool:
        times = [t for h in self._simulation.happenings[-50:] for t in (h.start, h.end)]
        times += [s.start for s in self._simulation.stints()]
        return any(self._synced < t <= day for t in times)

    def _body(self, days: Array, noise: int) -> bytes:
        self._simulation.run(until=float(days[-1]) + STEP_DAYS)
        rng = np.random.default_rng([self.plant.seed, 6, noise])
        values, there = self._instruments.read(days, rng)
        rows = []
        for day, row, present in zip(days, values, there & self._here, strict=True):
            at = instant(self.plant.origin, float(day)).isoformat()
            rows += [
                {"sensor": self._uuids[i], "time": at, "value": value}
                for i, value in zip(np.flatnonzero(present).tolist(), row[present].tolist(), strict=True)
            ]
        return orjson.dumps(rows)


class Sender:
    """Posts batches over one connection that is opened again when it breaks."""

    def __init__(self, *, url: str, token: str, say: Say) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{url!r} is not an http address: give one like http://127.0.0.1:8000/ingest.")
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._connection = kind(parts.hostname, parts.port, timeout=_TIMEOUT)
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self._say = say

    def send(self, batch: Batch) -> Outcome:
        """Post one batch; LATER for no answer, 401 to 403 (a token can be given back), 408, 429 and 5xx."""
        try:
            self._connection.request("POST", self._path, batch.body, {**self._headers, "Idempotency-Key": batch.key})
            answer = self._connection.getresponse()
            text = answer.read(2000).decode(errors="replace")
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            self._say(f"no answer ({error}); {batch.key} will be sent again")
            return Outcome.LATER
        if answer.status in (200, 201):
            return Outcome.KEPT
        self._connection.close()
        later = answer.status in (401, 403, 404, 408, 429) or answer.status >= 500
        self._say(f"{batch.key}: {answer.status} {text[:300]}")
        return Outcome.LATER if later else Outcome.NEVER


class Player:
    """Makes a batch each second and sends what is waiting, oldest first."""

    def __init__(self, *, live: LivePlant, send: Callable[[Batch], Outcome], say: Say, backlog: int = BACKLOG) -> None:
        self._live, self._send, self._say = live, send, say
        self._waiting: deque[Batch] = deque(maxlen=backlog)
        self._failures, self._not_before = 0, 0.0

    def play(self, stop: threading.Event) -> None:
        """Play until `stop` is set."""
        self._catch_up(stop)
        due = int(time.time()) + 1
        while not stop.is_set():
            now = int(time.time())
            due = max(due, now - (self._waiting.maxlen or 0))  # after a suspended hour nobody wants each second of it
            for second in range(due, now + 1):
                self.offer(self._live.second(second))
                if second % _REGISTER_EVERY == 0:
                    self._sync()
            due = max(due, now + 1)
            self.flush(stop)
            stop.wait(max(0.02, due - time.time()))

    def offer(self, batch: Batch) -> None:
        """Add a batch; when the backlog is full the oldest is given up and that is said."""
        if len(self._waiting) == self._waiting.maxlen:
            self._say(f"the backlog is full; {self._waiting[0].key} is given up")
        self._waiting.append(batch)

    def flush(self, stop: threading.Event) -> None:
        """Send what waits until all is acknowledged or the server does not answer; then wait longer each time."""
        while self._waiting and not stop.is_set() and time.monotonic() >= self._not_before:
            outcome = self._send(self._waiting[0])
            if outcome is Outcome.LATER:
                self._failures += 1
                self._not_before = time.monotonic() + min(_LONGEST_WAIT, 0.25 * 2 ** min(self._failures, 6))
                return
            self._failures, self._not_before = 0, 0.0
            self._waiting.popleft()
            if outcome is Outcome.NEVER:
                self._live.learn_sensors()

    def _catch_up(self, stop: threading.Event) -> None:
        self._sync()
        missed = list(self._live.missed(since=self._live.last_reading(), until=datetime.now(UTC)))
        if missed:
            self._say(f"sending {len(missed)} batches that were missed while the player stood still")
        for batch in missed:
            outcome = Outcome.LATER
            while outcome is Outcome.LATER and not stop.is_set():
                outcome = self._send(batch)
                if outcome is Outcome.LATER:
                    stop.wait(2.0)

    def _sync(self) -> None:
        close_old_connections()
        try:
            came = self._live.sync(datetime.now(UTC))
        except (DatabaseError, AssetsError) as error:
            self._say(f"the register could not be brought up to date ({error}); trying again later")
            return
        if came:
            self._say(f"{came} items were replaced")


def play(*, plant: DemoPlant, sender: Sender, stop: threading.Event, say: Say = print) -> None:
    """Continue `plant` in real time until `stop` is set."""
    live = LivePlant(plant)
    Player(live=live, send=sender.send, say=say).play(stop)


__all__ = ["Batch", "LivePlant", "Outcome", "Player", "Sender", "play"]
