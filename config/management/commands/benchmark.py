"""`benchmark NAME`: runs tests/benchmarks/NAME.py and prints one line a figure: `NAME VALUE UNIT goal OP LIMIT`.

config/benchmarks.py says what such a module looks like. Unless DATABASE_URL and REDIS_URL are set, it gets engines of
its own in a temporary directory, so a benchmark neither needs `up` nor touches what `up` keeps. manage.py starts the
engines before Django reads its settings. The exit status is 0 when all could be measured, whatever the goals say.
"""

from __future__ import annotations

import importlib.util
import os
import tempfile
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connection
from django.test.utils import override_settings

from config.benchmarks import Figure
from config.bootstrap import ROOT

FOLDER = ROOT / "tests" / "benchmarks"


class Command(BaseCommand):
    help = "Measure: one line a figure, NAME VALUE UNIT goal OP LIMIT"
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parsers = parser.add_subparsers(dest="name", required=True, metavar="NAME")
        for path in sorted(FOLDER.glob("[a-z]*.py")):
            module = _load(path)
            summary = (module.__doc__ or "").strip().partition("\n")[0]
            # Django's own parser class takes arguments that a subparser has no use for.
            child = parsers.add_parser(path.stem, help=summary, description=summary)
            getattr(module, "add_arguments", _no_arguments)(child)
            child.set_defaults(measure=module.run)

    def handle(self, *args: Any, measure: Callable[[Namespace], Iterable[Figure]], **options: Any) -> None:
        with _empty_database(), tempfile.TemporaryDirectory(prefix="twins-lake-") as lake:
            from django.conf import settings

            with override_settings(TWINS={**settings.TWINS, "LAKE": Path(lake)}):
                for figure in measure(Namespace(**options)):
                    self.stdout.write(str(figure))


@contextmanager
def _empty_database() -> Iterator[None]:
    """A migrated database without rows, apart from the one that the settings name."""
    creation = connection.creation
    before = connection.settings_dict["NAME"]
    connection.settings_dict.setdefault("TEST", {})["NAME"] = f"twins_benchmark_{os.getpid()}"
    creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    try:
        yield
    finally:
        creation.destroy_test_db(before, verbosity=0)


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"benchmarks.{path.stem}", path)
    if spec is None or spec.loader is None:
        raise CommandError(f"{path} is no module.")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _no_arguments(parser: ArgumentParser) -> None:
    """Most benchmarks need none."""
