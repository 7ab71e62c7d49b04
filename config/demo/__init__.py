"""A power plant that ages: two trains, 62 parts, 249 sensors, two years of history and a live continuation.

Promise: damage is hidden and physical (fatigue, wear, erosion, fouling, insulation ageing, driven by load, heat, dirt
and worn neighbours); sensors show symptoms only; nothing labels a reading. The plant enters through the same services
and the same HTTP address as anyone's, because a demo that cheats proves nothing. Reason: a newcomer sees a plant with
a past within a minute. `plant`, `degradation`, `operation`, `build`, `exposure`, `simulation`, `signals` and `history`
are pure numpy and know no Django; `register`, `loader` and `live` use public services only. Nothing in `assets` or
`twins` may know that this package exists.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

__all__ = ["load"]


def load(*, now: datetime, say: Callable[[str], None] = print) -> None:
    """Load the plant once, with a history that ends at `now`; see `config.demo.loader.load`."""
    # Imported here, because the pure modules must be importable without Django's app registry.
    from config.demo.loader import load as load_plant

    load_plant(now=now, say=say)
