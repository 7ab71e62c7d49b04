"""One simulated history for all tests of the demo: it takes a second and is never changed by a test."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy

import pytest

from config.demo.history import simulate_history
from config.demo.simulation import Simulation


@pytest.fixture(scope="session")
def simulation() -> Simulation:
    return simulate_history()


@pytest.fixture
def fresh(simulation: Simulation) -> Callable[[], Simulation]:
    """Simulations of the history that a test may run further."""
    return lambda: deepcopy(simulation)
