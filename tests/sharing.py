"""Which process runs which tests: a whole file goes to one, so that what its tests share is made once, and what takes
longest begins first, so that no process is left with it when the others have nothing more to do.
"""

from __future__ import annotations

from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

TOGETHER = ("tests/clients/",)
"""Directories whose files share what takes long to make."""

LONGEST = (
    "tests/config/test_fresh_clone.py",
    "tests/twins/graphql/test_agreement.py",
    "tests/config/test_many_kills.py",
    "tests/config/test_demo_path.py",
    "tests/config/test_up.py",
    "tests/config/test_kills.py",
    "tests/upgrades/test_upgrades.py",
    "tests/quality/test_static.py",
    "tests/twins/graphql/test_statements.py",
    "tests/host/test_host.py",
    "tests/config/test_bootstrap.py",
    "tests/clients/test_audits.py",
    "tests/twins/graphql/test_matrix_of_changes.py",
    "tests/twins/graphql/test_matrix.py",
)
"""What takes a minute or so, the longest first."""


def order(items: list[pytest.Item]) -> None:
    """Put the files that take longest first, then whatever has long tests; within a file nothing changes its place."""
    places = {unit_of(name): place for place, name in reversed(list(enumerate(LONGEST)))}
    long = {unit_of(item.nodeid) for item in items if item.get_closest_marker("full")}

    def key(item: pytest.Item) -> tuple[int, bool]:
        unit = unit_of(item.nodeid)
        return places.get(unit, len(places)), unit not in long

    items.sort(key=key)


def unit_of(nodeid: str) -> str:
    """What is not divided between processes: the file, or the directory, of a test."""
    return next((folder for folder in TOGETHER if nodeid.startswith(folder)), nodeid.partition("::")[0])


class Sharing(LoadScopeScheduling):
    """A process that has nearly done what it has gets the next unit, in the order of the tests."""

    def __init__(self, config: pytest.Config, log: Any = None) -> None:
        super().__init__(config, log)
        config.option.loadscopereorder = False

    def _split_scope(self, nodeid: str) -> str:
        return unit_of(nodeid)
