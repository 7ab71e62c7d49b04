"""`play_demo`: the demo plant in real time, through the ingest address, until SIGTERM or SIGINT."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from config.demo.live import Sender, play
from config.demo.register import find_plant
from twins.services.tokens import authenticate_token, create_token


class Command(BaseCommand):
    help = "Send the demo plant's readings once a second to a running server."

    def add_arguments(self, parser: CommandParser) -> None:
        default = os.environ.get("TWINS_INGEST_URL", "http://127.0.0.1:8000/ingest")
        parser.add_argument("--url", default=default, help=f"ingest address (default {default})")
        parser.add_argument(
            "--token-file",
            type=Path,
            default=settings.DATA / "demo.token",
            help="file with a token of scope ingest, mode 0600; made when missing or no longer valid",
        )

    def handle(self, *, url: str, token_file: Path, **options: Any) -> None:
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        plant = find_plant()
        if plant is None or not plant.loaded:
            raise CommandError("There is no demo plant to play: run 'manage.py load_demo' first.")
        try:
            sender = Sender(url=url, token=_token(token_file), say=self._say)
        except ValueError as error:
            raise CommandError(str(error)) from None
        self._say(f"playing the demo plant to {url}")
        play(plant=plant, sender=sender, stop=stop, say=self._say)
        self._say("stopped")

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()


def _token(file: Path) -> str:
    """The token in the file if it is still valid, else a new one that is written there."""
    known = file.read_text().strip() if file.exists() else ""
    if known and authenticate_token(plaintext=known):
        return known
    _, plaintext = create_token(name=f"demo player {timezone.now().isoformat()}", scopes=["ingest"])
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_name(file.name + ".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as target:
        target.write(plaintext + "\n")
    fresh.replace(file)
    return plaintext
