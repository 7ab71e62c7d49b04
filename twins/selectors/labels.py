"""How recorded events become the lives and failures that are learned from, each with the records it came from.

A life begins with an installation, or in place when a failure has been repaired, and ends with a failure or with the
installation. A second report of the same failure is merged into the first; planned work is no failure; what cannot be
true (a failure before its item was installed, or in the future) teaches nothing and is told with its reason.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from assets.models import Design, EventKind, Installation, MaintenanceEvent

SAME_FAILURE = timedelta(hours=1)
"""So soon after a repair a failure is the report of the one that was repaired."""
_PLANNED = {EventKind.PREVENTIVE, EventKind.REPLACEMENT, EventKind.INSPECTION}


class Stay(Protocol):
    """What is asked of an installation, or of a row with as much of it."""

    @property
    def asset_id(self) -> int: ...
    @property
    def item_id(self) -> int: ...
    @property
    def period(self) -> Any: ...


class Turn(NamedTuple):
    """What ended a life or began one, with no more than that and the failure mode."""

    pk: int
    asset_id: int
    item_id: int | None
    kind: str
    started_at: datetime
    ended_at: datetime | None
    mode: str


E = TypeVar("E", MaintenanceEvent, Turn)
"""Either will do, where only lengths are told."""


@dataclass
class Segment(Generic[E]):
    """One life within an installation: from when to when, and the failure that ended it if one did."""

    start: datetime
    end: datetime
    failure: E | None = None
    merged: list[E] = field(default_factory=list)
    """Further reports of the same failure."""


@dataclass(frozen=True)
class Label:
    """What is learned of one life, and the records that say so."""

    installation: Installation
    segment: Segment[MaintenanceEvent]
    why: str

    @property
    def outcome(self) -> str:
        if self.segment.failure is not None:
            return "failed"
        return "removed" if self.installation.period.upper == self.segment.end else "running"


@dataclass(frozen=True)
class Dismissed(Generic[E]):
    """An event of which nothing is learned as a failure, and why."""

    event: E
    why: str


@dataclass(frozen=True)
class Labels:
    """All labels of a design in order of time, and the events that made none."""

    lives: list[Label]
    dismissed: list[Dismissed[MaintenanceEvent]]


def events_at(assets: Iterable[int]) -> dict[int, list[MaintenanceEvent]]:
    """Everything that happened at each asset, the oldest first, in one query."""
    found: dict[int, list[MaintenanceEvent]] = defaultdict(list)
    for event in MaintenanceEvent.objects.filter(asset__in=set(assets)).order_by("started_at", "id"):
        found[event.asset_id].append(event)
    return found


def turns_at(assets: Iterable[int]) -> dict[int, list[Turn]]:
    """Failures and repairs at each asset, the oldest first, in one query: of thousands, a row costs a third."""
    rows = MaintenanceEvent.objects.filter(asset__in=set(assets), kind__in=[EventKind.FAILURE, EventKind.REPAIR])
    found: dict[int, list[Turn]] = defaultdict(list)
    for turn in map(Turn._make, rows.order_by("started_at", "id").values_list(*Turn._fields)):
        found[turn.asset_id].append(turn)
    return found


def each_own(stays: Iterable[Stay], events: Mapping[int, Sequence[E]]) -> list[list[E]]:
    """What happened at each place to its item, or to nobody knows what, the oldest first.

    A place has many items in its time, each with a few of its events, and is gone through once.
    """
    by_item: dict[int, dict[int | None, list[E]]] = defaultdict(lambda: defaultdict(list))
    for asset, each in events.items():
        for event in each:
            by_item[asset][event.item_id].append(event)
    return [_in_order(by_item[stay.asset_id][stay.item_id], by_item[stay.asset_id][None]) for stay in stays]


def _in_order(own: list[E], unknown: list[E]) -> list[E]:
    return sorted(own + unknown, key=lambda event: (event.started_at, event.pk))


def segments_of(place: Stay, events: Sequence[E], now: datetime) -> tuple[list[Segment[E]], list[Dismissed[E]]]:
    """The lives of one installation up to `now`, the newest last, and failures that cannot be the item's.

    There is always at least one life. After a failure without an end and without a repair the item stays failed.
    """
    until: datetime = min(place.period.upper or now, now)
    start: datetime | None = place.period.lower
    lives: list[Segment[E]] = []
    dismissed: list[Dismissed[E]] = []
    for event in events:
        if event.item_id not in (None, place.item_id) or event.started_at > until:
            continue
        if event.kind == EventKind.REPAIR and start is None:
            start = event.started_at
        elif event.kind == EventKind.FAILURE:
            if start is None or (lives and event.started_at <= start + SAME_FAILURE):
                lives[-1].merged.append(event)
                start = None if start is None else max(start, event.ended_at or start)
            elif event.started_at <= start:
                dismissed.append(
                    Dismissed(event, f"it is dated before its item was installed ({start:%Y-%m-%d %H:%M})")
                )
            else:
                lives.append(Segment(start, event.started_at, event))
                start = event.ended_at
    if start is not None and (start < until or not lives):
        lives.append(Segment(start, max(start, until)))
    return lives, dismissed


def labels_of(designs: Sequence[Design], *, now: datetime) -> dict[int, Labels]:
    """How the events at places where items of each design were became labels, in three queries."""
    rows = Installation.objects.filter(item__design__in=designs, period__startswith__lt=now)
    places = list(rows.select_related("item__design", "asset").order_by("period", "id"))
    events = events_at(place.asset_id for place in places)
    found = {design.pk: Labels([], []) for design in designs}
    taught: set[int] = set()
    for place in places:
        lives, early = segments_of(place, events[place.asset_id], now)
        labels = found[place.item.design_id]
        labels.lives.extend(Label(place, life, _why(place, life)) for life in lives)
        labels.dismissed.extend(early)
        for life in lives:
            taught |= {event.pk for event in [life.failure, *life.merged] if event is not None}
    _tell_the_rest(places, events, found, taught, now)
    return found


def _why(place: Installation, life: Segment) -> str:
    if life.failure is not None:
        told = f"failure recorded as event {life.failure.pk}"
        also = ", ".join(str(event.pk) for event in life.merged)
        return f"{told}; reported again as {also}" if also else told
    if place.period.upper != life.end:
        return "no failure so far"
    reason = place.removal_reason or "no reason given"
    if "fail" in reason.lower():
        return f"removed ({reason}), but no failure is recorded: it counts as survived until one is"
    return f"removed without a failure ({reason})"


def _tell_the_rest(
    places: Sequence[Installation],
    events: dict[int, list[MaintenanceEvent]],
    found: dict[int, Labels],
    taught: set[int],
    now: datetime,
) -> None:
    """Every event that made no label is dismissed once, at the design whose item was there first."""
    told = taught | {one.event.pk for labels in found.values() for one in labels.dismissed}
    for place in places:
        for event in events[place.asset_id]:
            why = _no_failure(place, event, now)
            if why and event.pk not in told:
                told.add(event.pk)
                found[place.item.design_id].dismissed.append(Dismissed(event, why))


def _no_failure(place: Installation, event: MaintenanceEvent, now: datetime) -> str:
    if event.kind in _PLANNED:
        return "planned work is no failure"
    if event.kind != EventKind.FAILURE:
        return ""
    if event.started_at > now:
        return "it is dated in the future"
    if event.item_id not in (None, place.item_id):
        return "it is recorded for an item that was not there then"
    return "no item was installed there then"
