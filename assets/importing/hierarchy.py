"""Assets of a file: a row may name a parent that only another row will create, so parents are put first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from assets.importing.names import Name, Names, site_of
from assets.importing.planning import Action, Match, Planned, Seen, candidate_of, decide, link, referenced
from assets.importing.reading import Reading
from assets.importing.tables import KEY_HEADER, TABLES
from assets.models import Level

_TABLE = TABLES["assets"]


@dataclass(slots=True)
class PlannedAsset:
    """What becomes of a row, and where its asset stands."""

    planned: Planned
    site: str
    """Tag of the top of its tree."""
    parent: PlannedAsset | None
    """The row of its parent, where that is in the file."""


def plan_assets(readings: Sequence[Reading], names: Names, source: str) -> list[PlannedAsset]:
    """What becomes of these rows, parents before children, in a constant number of statements."""
    sites = {reading.number: _parent(reading)[1] for reading in readings}
    parents = _parents_in_file(readings)
    names.load("assets", *_wanted(readings))
    link(_TABLE, readings, names)
    known, seen = referenced(_TABLE, readings, names, source), Seen()
    done: dict[int, PlannedAsset] = {}
    for reading in _parents_first(readings, parents):
        parent = done.get(parents[reading.number].number) if reading.number in parents else None
        site = sites[reading.number] or _site(reading, parent)
        seen.check(reading, "tag", (reading.values.get("tag"), site))
        if reading.key:
            seen.check(reading, KEY_HEADER, (reading.kind, reading.key))
        _check_parent(reading, parent)
        reference = known.get((reading.kind, reading.key))
        same = _same(reading, site, names)
        planned = decide(_TABLE, reading, Match(reference, same, *candidate_of(_TABLE, reading)), source)
        if parent is not None and planned.action is not Action.REFUSED:
            _hang(planned, parent)
        done[reading.number] = PlannedAsset(planned, site, parent)
    return list(done.values())


def _wanted(readings: Sequence[Reading]) -> tuple[set[Name], set[str]]:
    tags = {reading.values.get("tag") for reading in readings} | {_parent(reading)[0] for reading in readings}
    return {(tag, None) for tag in tags if tag}, {key for reading in readings if (key := reading.keys.get("parent"))}


def _parent(reading: Reading) -> Name:
    return reading.names.get("parent", (None, None))


def _parents_in_file(readings: Sequence[Reading]) -> dict[int, Reading]:
    """The row of the parent by the number of the row, where the file has it; the register is asked for the others."""
    by_tag: defaultdict[Any, list[Reading]] = defaultdict(list)
    for reading in readings:
        by_tag[reading.values.get("tag")].append(reading)
    by_key = {reading.key: reading for reading in readings if reading.key}
    found: dict[int, Reading] = {}
    for reading in readings:
        tag, site = _parent(reading)
        if key := reading.keys.get("parent"):
            if key in by_key:
                found[reading.number] = by_key[key]
                _found(reading)
        elif tag is not None:
            rows = [row for row in by_tag[tag] if site is None or _parent(row)[1] in (site, None)]
            if len(rows) > 1:
                reading.refuse("parent", f"{len(rows)} rows have the tag {tag!r}: name the site, the tag of the top")
            elif rows:
                found[reading.number] = rows[0]
                _found(reading)
    return found


def _found(reading: Reading) -> None:
    """The register need not be asked for the parent."""
    reading.names.pop("parent", None)
    reading.keys.pop("parent", None)
    reading.told.discard("parent")


def _parents_first(readings: Sequence[Reading], parents: dict[int, Reading]) -> Iterator[Reading]:
    """The rows, each after its parent's; rows that stand in a circle are refused."""
    done: set[int] = set()
    for reading in readings:
        way: list[Reading] = []
        step: Reading | None = reading
        while step is not None and step.number not in done:
            if any(other is step for other in way):
                step.refuse("parent", "its parents lead back to itself: correct one of them")
                parents.pop(step.number)
                break
            way.append(step)
            step = parents.get(step.number)
        for each in reversed(way):
            done.add(each.number)
            yield each


def _site(reading: Reading, parent: PlannedAsset | None) -> str:
    """The tag of the top, where the row does not say it."""
    if parent is not None:
        return parent.site
    above = reading.linked.get("parent")
    return site_of(above) if above is not None else str(reading.values.get("tag"))


def _same(reading: Reading, site: str, names: Names) -> Any:
    """The asset of this tag at this site."""
    tag = reading.values.get("tag")
    if tag is None:
        return None
    found = names.all_named("assets", (tag, site))
    if len(found) > 1:
        reading.refuse("tag", f"{len(found)} assets have this tag at sites of the tag {site!r}: use external keys")
    return found[0] if len(found) == 1 else None


def _check_parent(reading: Reading, parent: PlannedAsset | None) -> None:
    if parent is not None and parent.planned.action is Action.REFUSED:
        reading.refuse("parent", f"row {parent.planned.row}, its parent, was refused")
    above = parent.planned.record if parent is not None else reading.linked.get("parent")
    level = reading.values.get("level")
    if above is None or level is None or above.level not in Level.values:
        return
    if Level(level).rank < Level(above.level).rank:
        reading.refuse(
            "level",
            f"a {level} cannot stand below {above.tag!r}, which is a {above.level}: "
            "a system holds products, a product holds parts",
        )


def _hang(planned: Planned, parent: PlannedAsset) -> None:
    """The parent of an asset of the file; where it is not written yet, the two have no ids to compare."""
    above, record = parent.planned.record, planned.record
    if above.pk is None or record.parent_id != above.pk:
        if planned.action is not Action.CREATE:
            planned.changes["parent"] = (record.parent and record.parent.tag, above.tag)
            planned.action = Action.CHANGE
        record.parent = above
