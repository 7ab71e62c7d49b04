"""One simulated history for all tests of the demo: it takes a second and is never changed by a test."""

from __future__ import annotations

import pytest

from config.demo.history import simulate_history
from config.demo.simulation import Simulation


@pytest.fixture(scope="session")
def simulation() -> Simulation:
    return simulate_history()
