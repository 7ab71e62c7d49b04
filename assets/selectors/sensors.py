"""One selection of sensors by where they are and what they measure, for pages, the API and the models alike.

"All vibration sensors on bearings of anything fed by pump P-12" is

    SensorSelection(
        assets=frozenset([p12.pk]), reach=Reach(kinds=frozenset(["feeds"])),
        types=frozenset([bearing.pk]), quantities=frozenset(["vibration velocity"]),
    )
"""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib.postgres.fields import ArrayField
from django.db.models import BigIntegerField, Q, QuerySet
from django.db.models.expressions import RawSQL

from assets.models import Sensor
from assets.selectors.relations import Reach, reach_sql


@dataclass(frozen=True, kw_only=True)
class SensorSelection:
    """What a sensor must be; an empty set asks for nothing. All that is asked holds together.

    `assets`: where to start; None is the whole register. `reach`: go from there over relations, and leave the start
    out. `below`: with everything below in the hierarchy. `types`: type of the asset or of its design, with subtypes.
    `levels` and `statuses` are those of the asset that carries the sensor.
    """

    assets: frozenset[int] | None = None
    reach: Reach | None = None
    below: bool = True
    levels: frozenset[str] = frozenset()
    types: frozenset[int] = frozenset()
    designs: frozenset[int] = frozenset()
    statuses: frozenset[str] = frozenset()
    quantities: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()
    units: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if self.reach is not None and self.assets is None:
            raise ValueError("reach needs assets to start from: name them.")


def select_sensors(selection: SensorSelection) -> QuerySet[Sensor]:
    """The sensors of a selection by id, one statement however it is asked; narrow it further by what may be seen."""
    wanted = Q()
    for field, values in (
        ("asset__level", selection.levels),
        ("asset__design", selection.designs),
        ("asset__status", selection.statuses),
        ("quantity", selection.quantities),
        ("role", selection.roles),
        ("unit", selection.units),
        ("name", selection.names),
    ):
        if values:
            wanted &= Q((f"{field}__in", values))
    if selection.types:
        kinds = list(selection.types)
        wanted &= Q(asset__type__path__overlap=kinds) | Q(asset__design__type__path__overlap=kinds)
    if selection.assets is not None:
        wanted &= _places(selection, selection.assets)
    return Sensor.objects.filter(wanted).order_by("id")


def _places(selection: SensorSelection, starts: frozenset[int]) -> Q:
    place = "asset__path__overlap" if selection.below else "asset__in"
    if selection.reach is None:
        return Q((place, list(starts)))
    sql, parameters = reach_sql(starts, selection.reach)
    ids, given = f"{sql} SELECT id FROM reach WHERE id <> ALL(%s)", [*parameters, list(starts)]  # noqa: S608
    if not selection.below:
        return Q(asset__in=RawSQL(ids, given))  # noqa: S611  (texts of this package, values as parameters)
    # As an array it is found once, and the index over paths answers the rest.
    return Q((place, RawSQL(f"ARRAY({ids})", given, output_field=ArrayField(BigIntegerField()))))  # noqa: S611
