"""How long what was installed has lived: per design, with its build attributes, places and failure modes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
from django.db.models import Prefetch, Q, QuerySet

from assets.models import Asset, Design, EventKind, Installation, MaintenanceEvent
from twins import ml
from twins.lake import from_microseconds, microseconds
from twins.ml import reliability as rel
from twins.selectors.health import lives_at
from twins.selectors.labels import lengths_at
from twins.selectors.readings import scan_readings

MOST = 20_000
"""Installations that one answer looks at, the newest first."""
_SHOWN = 20


@dataclass(frozen=True)
class Lived:
    """One life of an item at a place, in life units; the last may still run."""

    asset: int
    item: int
    age: float
    failed: bool
    mode: str
    repaired: bool
    """It failed and went on in place."""
    build: Mapping[str, object] = field(hash=False)


@dataclass(frozen=True)
class Reliability:
    """What the lives of one design's items tell. Times are in `unit`."""

    design: Design
    unit: str
    lives: int
    repaired: bool
    """Most failures were repaired in place: the mean is between failures, else to failure."""
    mean: rel.MeanTime
    weibull: rel.Weibull | None
    survival: rel.Survival
    modes: list[tuple[str, rel.MeanTime]]
    """By failure mode, the most frequent first; other failures end observation."""
    comparisons: list[rel.Comparison]
    bad_actors: list[rel.BadActor]
    uncounted: int
    """Lives left out because nobody counted their usage."""

    def sentences(self) -> list[str]:
        """What is known of build attributes, or that nothing is."""
        known = [one.sentence(self.design.name) for one in self.comparisons if one.known]
        return known or [self._not_known()]

    def _not_known(self) -> str:
        if self.mean.failures < rel.FEWEST:
            return f"{self.mean.failures} failures are too few to compare builds ({rel.FEWEST} are needed)."
        if not self.comparisons:
            return "The items were all built alike, as far as was recorded."
        return "No build attribute makes a difference that chance could not make."


def reliability_of(designs: Sequence[Design], *, now: datetime, visible: Q | None = None) -> dict[int, Reliability]:
    """Reliability of each design, from every life of its items at visible assets; without any it is absent."""
    return _by_design(Installation.objects.filter(item__design__in=designs), now, visible)


def reliability_below(asset: int, *, now: datetime, visible: Q | None = None) -> dict[int, Reliability]:
    """Reliability by design of what is or was installed at an asset or anywhere below it, where it is visible."""
    return _by_design(Installation.objects.filter(asset__path__contains=[asset]), now, visible)


def _by_design(rows: QuerySet[Installation], now: datetime, visible: Q | None) -> dict[int, Reliability]:
    rows = rows.filter(period__startswith__lt=now).select_related("item")
    if visible:
        rows = rows.filter(asset__in=Asset.objects.filter(visible))
    # Thousands of items are of a few designs, each of which is read once.
    rows = rows.prefetch_related(Prefetch("item__design", Design.objects.select_related("type")))
    rows = rows.only("asset", "item", "period", "item__design", "item__build", "item__manufacturer")
    places = list(rows.order_by("-period__startswith", "-id")[:MOST])
    events = lengths_at(place.asset_id for place in places)
    segments = lives_at(places, now, lengths=events)
    ages = _ages(places, segments)
    modes = _modes(events)
    lived: dict[int, list[Lived]] = defaultdict(list)
    uncounted: dict[int, int] = defaultdict(int)
    designs: dict[int, Design] = {}
    for place, lives in zip(places, segments, strict=True):
        design = designs.setdefault(place.item.design_id, place.item.design)
        for number, life in enumerate(lives):
            age = ages[id(life)]
            if age is None or age <= 0:
                uncounted[design.pk] += age is None
                continue
            mode = modes.get((place.asset_id, life.end), "") if life.failed else ""
            build = {**_plain(place.item.build), **_maker(place.item.manufacturer)}
            went_on = life.failed and number + 1 < len(lives)
            lived[design.pk].append(Lived(place.asset_id, place.item_id, age, life.failed, mode, went_on, build))
    return {pk: _tell(designs[pk], each, uncounted[pk]) for pk, each in sorted(lived.items())}


def _tell(design: Design, lives: list[Lived], uncounted: int) -> Reliability:
    age = np.array([life.age for life in lives])
    failed = np.array([life.failed for life in lives])
    exposure = float(age.sum())
    counts: dict[str, int] = defaultdict(int)
    for life in lives:
        if life.failed:
            counts[life.mode] += 1
    frequent = sorted(counts.items(), key=lambda each: (-each[1], each[0]))[:_SHOWN]
    return Reliability(
        design=design,
        unit=design.life_unit,
        lives=len(lives),
        repaired=2 * sum(life.repaired for life in lives) > int(failed.sum()),
        mean=rel.mean_time(exposure, int(failed.sum())),
        weibull=rel.fit_weibull(age, failed),
        survival=rel.survival(age, failed),
        modes=[(mode, rel.mean_time(exposure, count)) for mode, count in frequent],
        comparisons=rel.compare(age, failed, [life.build for life in lives])[:_SHOWN],
        bad_actors=rel.bad_actors(np.array([life.asset for life in lives]), age, failed)[:_SHOWN],
        uncounted=uncounted,
    )


def _ages(places: Sequence[Installation], segments: Sequence[Sequence[ml.Life]]) -> dict[int, float | None]:
    """Age at its end of every life in life units, by identity; None where it is usage that nobody counted."""
    counters = sorted({life.usage for lives in segments for life in lives if life.usage is not None})
    start = min((life.start for lives in segments for life in lives if life.usage is not None), default=0)
    counted = ml.Readings(scan_readings(sensors=counters, start=from_microseconds(start))) if counters else None
    found: dict[int, float | None] = {}
    for place, lives in zip(places, segments, strict=True):
        for life in lives:
            if place.item.design.life_unit == "d":
                found[id(life)] = (life.end - life.start) / ml.DAY
            elif life.usage is None or counted is None:
                found[id(life)] = None
            else:
                values = counted.between(life.usage, life.start, life.end)[1]
                found[id(life)] = float(values.max() - values[0]) if len(values) else None
    return found


def _modes(events: Mapping[int, Sequence[MaintenanceEvent]]) -> dict[tuple[int, int], str]:
    """Failure modes by (asset, microseconds)."""
    failures = (event for each in events.values() for event in each if event.kind == EventKind.FAILURE)
    return {(event.asset_id, microseconds(event.started_at)): event.mode for event in failures}


def _plain(build: Mapping[str, object]) -> dict[str, object]:
    """Attributes that can be compared: numbers, texts and truths; a nested one is no attribute."""
    return {name: value for name, value in build.items() if isinstance(value, str | int | float | bool)}


def _maker(manufacturer: str) -> dict[str, object]:
    return {"manufacturer": manufacturer} if manufacturer else {}
