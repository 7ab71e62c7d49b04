"""Who is learned from together: a design alone, or with the designs of its type, or of a type further up.

The nearest group with enough recorded failures is taken. Only designs whose life is counted in the same unit are
together; a type's own subtypes belong to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from assets.models import AssetType, Design
from twins.selectors.health import failures_of_designs


@dataclass(frozen=True)
class Family:
    """A design and those it is learned from together with."""

    design: Design
    members: tuple[Design, ...]
    """By id; the design itself is among them."""
    scope: str
    """Code of the type they share; empty when the design stands alone."""


def families_of(designs: Sequence[Design] | None = None, *, fewest: int) -> list[Family]:
    """Per design the smallest group with at least `fewest` recorded failures, in three queries.

    None: for all designs that were ever installed, and those without such a group are left out; designs that are asked
    for by name stand alone then.
    """
    failures = failures_of_designs()
    known = list(Design.objects.filter(pk__in=failures).select_related("type", "learning_plan").order_by("pk"))
    parents = dict(AssetType.objects.values_list("pk", "parent"))
    codes = dict(AssetType.objects.values_list("pk", "code"))
    above = {design.pk: _above(design.type_id, parents) for design in known}
    wanted = known if designs is None else designs
    found = []
    for design in wanted:
        alone = Family(design, (design,), "")
        if failures.get(design.pk, 0) >= fewest:
            found.append(alone)
            continue
        wider = _wider(design, known, above, failures, fewest)
        if wider is not None:
            found.append(Family(design, wider[1], codes[wider[0]]))
        elif designs is not None:
            found.append(alone)
    return found


def _wider(
    design: Design, known: Sequence[Design], above: dict[int, list[int]], failures: dict[int, int], fewest: int
) -> tuple[int, tuple[Design, ...]] | None:
    """The nearest type with enough failures among its designs, and those designs."""
    for kind in above.get(design.pk, []):
        members = tuple(one for one in known if kind in above[one.pk] and one.life_unit == design.life_unit)
        if len(members) > 1 and sum(failures[one.pk] for one in members) >= fewest:
            return kind, members
    return None


def _above(kind: int, parents: dict[int, int | None]) -> list[int]:
    """A type and what it is a kind of, upwards; a tree that bites its tail is left where it does."""
    found: list[int] = []
    step: int | None = kind
    while step is not None and step not in found:
        found.append(step)
        step = parents.get(step)
    return found
