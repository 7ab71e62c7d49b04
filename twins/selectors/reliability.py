"""How long what was installed has lived: per design, with its build attributes, places and failure modes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, NamedTuple

import numpy as np
from django.db.models import BigIntegerField, Func, Q, QuerySet

from assets.models import Asset, Design, Installation
from twins import ml
from twins.lake import from_microseconds, microseconds
from twins.ml import reliability as rel
from twins.selectors.health import inputs_of, usage_sensor
from twins.selectors.labels import Segment, Turn, each_own, segments_of, turns_at
from twins.selectors.readings import scan_readings

MOST = 20_000
"""Installations that one answer looks at, the newest first."""
_SHOWN = 20
_DAY: Final = timedelta(days=1)


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


class _Period(NamedTuple):
    lower: datetime | None
    upper: datetime | None


class _Stay(NamedTuple):
    """An installation, with no more of it than is told here: a row costs a third, and there are thousands."""

    asset_id: int
    item_id: int
    period: _Period
    item__design_id: int
    item__build: dict[str, object]
    item__manufacturer: str


def _by_design(rows: QuerySet[Installation], now: datetime, visible: Q | None) -> dict[int, Reliability]:
    rows = rows.filter(period__startswith__lt=now).order_by("-period__startswith", "-id")
    if visible:
        rows = rows.filter(asset__in=Asset.objects.filter(visible))
    stays = _stays(rows)
    designs = Design.objects.select_related("type").in_bulk({stay.item__design_id for stay in stays})
    events = each_own(stays, turns_at(stay.asset_id for stay in stays))
    segments = [segments_of(stay, own, now)[0] for stay, own in zip(stays, events, strict=True)]
    ages = _ages([designs[stay.item__design_id].life_unit for stay in stays], stays, segments)
    lived: dict[int, list[Lived]] = defaultdict(list)
    uncounted: dict[int, int] = defaultdict(int)
    for stay, lives, each in zip(stays, segments, ages, strict=True):
        build = {**_plain(stay.item__build), **_maker(stay.item__manufacturer)}
        for number, (life, age) in enumerate(zip(lives, each, strict=True)):
            if age is None or age <= 0:
                uncounted[stay.item__design_id] += age is None
                continue
            failed, mode = life.failure is not None, life.failure.mode if life.failure else ""
            told = Lived(stay.asset_id, stay.item_id, age, failed, mode, failed and number + 1 < len(lives), build)
            lived[stay.item__design_id].append(told)
    return {pk: _tell(designs[pk], each, uncounted[pk]) for pk, each in sorted(lived.items())}


def _stays(rows: QuerySet[Installation]) -> list[_Stay]:
    """With times that were microseconds on the way: thousands of them are read in a fraction of the time of text."""
    found = rows.annotate(begun=_Microseconds("period__startswith"), ended=_Microseconds("period__endswith"))
    told = found.values_list("asset_id", "item_id", "begun", "ended", *_Stay._fields[3:])[:MOST]
    return [
        _Stay(asset, item, _Period(_instant(begun), _instant(ended)), design, build, maker)
        for asset, item, begun, ended, design, build, maker in told
    ]


class _Microseconds(Func):
    """Since 1970."""

    template = "(extract(epoch FROM %(expressions)s) * 1000000)::bigint"
    output_field = BigIntegerField()


def _instant(microseconds: int | None) -> datetime | None:
    return None if microseconds is None else from_microseconds(microseconds)


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


def _ages(
    units: Sequence[str], stays: Sequence[_Stay], segments: Sequence[Sequence[Segment[Turn]]]
) -> list[list[float | None]]:
    """Age of each life at its end, in the unit of each stay; None where it is usage that nobody counted."""
    used = sorted({stay.asset_id for stay, unit in zip(stays, units, strict=True) if unit != "d"})
    inputs = inputs_of(used) if used else {}
    counters = [usage_sensor(inputs.get(stay.asset_id, ()), unit) for stay, unit in zip(stays, units, strict=True)]
    begun = [lives[0].start for counter, lives in zip(counters, segments, strict=True) if counter is not None]
    sensors = sorted({counter for counter in counters if counter is not None})
    counted = ml.Readings(scan_readings(sensors=sensors, start=min(begun))) if sensors else None
    return [
        [(life.end - life.start) / _DAY if unit == "d" else _counted(counted, counter, life) for life in lives]
        for unit, counter, lives in zip(units, counters, segments, strict=True)
    ]


def _counted(readings: ml.Readings | None, counter: int | None, life: Segment[Turn]) -> float | None:
    if readings is None or counter is None:
        return None
    values = readings.between(counter, microseconds(life.start), microseconds(life.end))[1]
    return float(values.max() - values[0]) if len(values) else None


def _plain(build: Mapping[str, object]) -> dict[str, object]:
    """Attributes that can be compared: numbers, texts and truths; a nested one is no attribute."""
    return {name: value for name, value in build.items() if isinstance(value, str | int | float | bool)}


def _maker(manufacturer: str) -> dict[str, object]:
    return {"manufacturer": manufacturer} if manufacturer else {}
