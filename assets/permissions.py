"""Row permission: from the grants of a user to one predicate on Asset, and from that one to every other table.

`rights_of(user)` reads the grants in one statement. `Rights.reach(action)` is the part of the register in which the
action is allowed: everything, or the subtrees of some assets. `Reach.of(Model)` is the predicate (a `Q`) on the rows of
a table that lie in it, and `predicate_sql` the same predicate as text for a table alias, compiled by Django. Admin,
API and services use these and have no second text of the rule.

What stands at an asset is reached with the asset; a relation with both of its ends; what a type or design declares and
the key of a row elsewhere with their owner. An item is reached where it is or
was installed, a design where an asset or an installed item uses it; what nobody uses yet (stock, new designs) and the
types are common to all who may do the action anywhere. Less may be changed than seen (`Reach.own`): types and designs
only by who may change the whole register, an item only while it is not installed outside.

Services take `actor`: the user on whose behalf a person's wish is carried out, checked inside of the transaction that
carries it out. Without an actor it is the system itself (a loader, a migration, a shell), which may do everything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, Self

from django.db.models import Exists, Model, OuterRef, Q, QuerySet

from assets.compiling import Compiled, condition_sql
from assets.exceptions import NotAllowed
from assets.models import (
    TARGETS,
    Asset,
    AssetType,
    Design,
    ExternalReference,
    FailureCode,
    Grant,
    Installation,
    Item,
    MaintenanceEvent,
    ParameterDefinition,
    Relation,
    Role,
    Sensor,
    SensorTemplate,
)


class Action(StrEnum):
    """What is done to the register; the value completes the sentence "you may not ... here"."""

    VIEW = "view"
    RECORD = "record events and installations"
    CHANGE = "change the register"
    IMPORT = "import files"
    APPROVE = "approve"
    ADMINISTER = "give and take roles"


_KEEP = frozenset({Action.VIEW, Action.RECORD, Action.CHANGE})
RIGHTS: Final[dict[Role, frozenset[Action]]] = {
    Role.VIEWER: frozenset({Action.VIEW}),
    Role.PLANNER: _KEEP,
    Role.ENGINEER: _KEEP | {Action.APPROVE},
    Role.INTEGRATOR: _KEEP | {Action.IMPORT},
    Role.ADMINISTRATOR: frozenset(Action),
}
"""What each role may do."""


@dataclass(frozen=True)
class Reach:
    """A part of the register: everything, or the subtrees of `tops` (asset ids, sorted)."""

    everything: bool = False
    tops: tuple[int, ...] = ()
    paths: tuple[tuple[int, ...], ...] = field(default=(), compare=False)
    """Where the tops stood when they were looked up, as ids from the root; empty where they were not."""

    def __bool__(self) -> bool:
        return self.everything or bool(self.tops)

    def assets(self) -> Q:
        """The predicate on Asset; empty, and so false as a bool, when it restricts nothing."""
        return Q() if self.everything else Q(path__overlap=list(self.tops))

    def of(self, model: type[Model]) -> Q:
        """The predicate on the rows of a table that lie in it, as far as looking goes; it joins nothing."""
        return Q() if self.everything else _WAYS[model](self)

    def own(self, model: type[Model]) -> Q:
        """The predicate on the rows whose change concerns nobody outside of it."""
        return Q() if self.everything else _OWN.get(model, _WAYS[model])(self)

    def outermost(self) -> tuple[tuple[int, ...], ...]:
        """The paths of the tops that stand below no other one."""
        return tuple(path for path in self.paths if set(self.tops).isdisjoint(path[:-1]))

    def __contains__(self, asset: Asset) -> bool:
        return self.everything or not set(self.tops).isdisjoint(asset.path)


EVERYWHERE: Final = Reach(everything=True)


@dataclass(frozen=True)
class Rights:
    """What somebody may do: roles with the asset below which they hold, None for the whole register."""

    unlimited: bool = False
    grants: frozenset[tuple[Role, int | None]] = frozenset()
    paths: frozenset[tuple[int, ...]] = frozenset()
    """Where the assets of the grants stand, as ids from the root."""

    @classmethod
    def all(cls) -> Self:
        """Those of a superuser, and of the system itself."""
        return cls(unlimited=True)

    def reach(self, action: Action) -> Reach:
        """Where the action is allowed."""
        tops = {top for role, top in self.grants if action in RIGHTS[role]}
        if self.unlimited or None in tops:
            return EVERYWHERE
        paths = tuple(sorted(path for path in self.paths if path[-1] in tops))
        return Reach(tops=tuple(sorted(top for top in tops if top is not None)), paths=paths)


NO_RIGHTS: Final = Rights()


def rights_of(user: Any) -> Rights:
    """The rights of a user of the host's model, in one statement; none for nobody and for whoever is not active."""
    if user is None or not getattr(user, "is_active", False):
        return NO_RIGHTS
    if getattr(user, "is_superuser", False):
        return Rights.all()
    held = list(_grants(_held_by(user)))
    return Rights(
        grants=frozenset((Role(role), top) for role, top, _ in held),
        paths=frozenset(tuple(path) for _, _, path in held if path),
    )


def standing_rights(user: Any, rights: Rights) -> Compiled | None:
    """The condition, for a statement, that `rights_of(user)` still gives these rights, the paths included.

    None where a host's model says by anything but a column who is active or may do everything.
    """
    if user is None:
        return "true", ()
    columns = {field.column for field in user._meta.concrete_fields}
    flags = {name: getattr(user, name) for name in ("is_active", "is_superuser") if hasattr(user, name)}
    if not flags.keys() <= columns:
        return None
    same = type(user)._default_manager.filter(pk=user.pk, **flags).order_by().values("pk")
    text, given = same.query.sql_with_params()
    if rights.unlimited or not flags.get("is_active"):
        return f"EXISTS ({text})", given
    grants, named = _grants(_held_by(user)).query.sql_with_params()
    paths: dict[int | None, str] = {path[-1]: ",".join(map(str, path)) for path in rights.paths}
    told = ",".join(sorted(f"{role} {{{paths.get(top, '')}}}" for role, top in rights.grants))
    return f"EXISTS ({text}) AND {_TOLD.format(grants)} = %s", (*given, *named, told)


# As texts in the order of their bytes, which is also Python's.
_TOLD = """(SELECT coalesce(string_agg(DISTINCT (role || ' ' || coalesce(path, '{{}}')::text) COLLATE "C", ','), '')
FROM ({}) held (role, top, path))"""


def _held_by(user: Any) -> Q:
    held = Q(user=user)
    if hasattr(user, "groups"):  # a host's model need not have groups
        held |= Q(group__in=user.groups.all())
    return held


def _grants(held: Q) -> QuerySet[Grant, tuple[str, int | None, list[int] | None]]:
    return Grant.objects.filter(held).order_by().values_list("role", "asset_id", "asset__path")


def require(actor: Any, action: Action, asset_ids: Iterable[int | None]) -> None:
    """Refuse an actor who may not do the action at every one of the assets; None asks for the whole register.

    Raises NotAllowed, naming the first asset. Call it inside of the transaction, after what it depends on is locked.
    """
    if actor is None:
        return
    reach, asked = rights_of(actor).reach(action), set(asset_ids)
    if reach.everything:
        return
    if None in asked:
        raise NotAllowed(
            f"{actor} may not {action} outside of single assets: ask an administrator for a role in the whole register."
        )
    _require_in(actor, f"{action} at", Asset, reach.assets(), asked)


def require_seen(actor: Any, model: type[Model], keys: Iterable[int | None]) -> None:
    """Refuse an actor who names rows of a table that it may not see; raises NotAllowed."""
    if actor is not None:
        _require_in(actor, "use", model, rights_of(actor).reach(Action.VIEW).of(model), keys)


def require_rows(actor: Any, rows: Sequence[Model]) -> None:
    """Refuse an actor who may not write all of the rows (of one table but Asset), as they stand and as they will be.

    What they hang on must lie where the actor may write, what else they refer to must be seen. Raises NotAllowed.
    """
    if actor is None or not rows:
        return
    model, held = type(rows[0]), rights_of(actor)
    action = Action.RECORD if model is MaintenanceEvent else Action.CHANGE
    reach = held.reach(action)
    if reach.everything:
        return
    if not reach or _OWN.get(model) is _nothing:
        raise NotAllowed(f"{actor} may not {action}: {model._meta.verbose_name_plural} need a role in all of it.")
    _require_in(actor, f"{action} at", model, reach.own(model), (row.pk for row in rows))
    for column in model._meta.local_concrete_fields:
        target: Any = column.related_model
        if target in _WAYS:
            owner = column.name in _OWNERS.get(model, ())
            allowed = reach.own(target) if owner else held.reach(Action.VIEW).of(target)
            _require_in(
                actor, action if owner else "use", target, allowed, (getattr(row, column.attname) for row in rows)
            )


def _require_in(actor: Any, deed: str, model: type[Model], allowed: Q, keys: Iterable[int | None]) -> None:
    wanted = {key for key in keys if key is not None}
    if not allowed or not wanted:
        return
    found = model._default_manager.filter(allowed, pk__in=wanted).values_list("pk", flat=True)
    if foreign := wanted.difference(found):
        raise NotAllowed(
            f"{actor} may not {deed} {model._meta.verbose_name} {min(foreign)}: "
            "ask its administrator for a role there, or choose another one."
        )


def predicate_sql(
    model: type[Model], alias: str, reach: Reach, *, using: str = "default"
) -> tuple[str, tuple[Any, ...]]:
    """The predicate of `reach` on a table that a statement calls `alias`, with its parameters; 'true' if it is all."""
    return condition_sql(model, alias, reach.of(model), using=using)


def _assets(reach: Reach) -> QuerySet[Asset]:
    return Asset.objects.filter(reach.assets()).order_by()


def _at_asset(reach: Reach) -> Q:
    return Q(asset__in=_assets(reach))


def _items(reach: Reach) -> Q:
    installed = Installation.objects.filter(_at_asset(reach)).order_by().values("item")
    return Q(pk__in=installed) | _unused(reach, Installation, "item")


def _own_items(reach: Reach) -> Q:
    now = Installation.objects.filter(item=OuterRef("pk"), period__upper_inf=True)
    return _items(reach) & Q(~Exists(now.exclude(asset__in=_assets(reach))))


def _designs(reach: Reach) -> Q:
    installed = Installation.objects.filter(_at_asset(reach)).order_by()
    planned = _assets(reach).filter(design__isnull=False).values("design")
    used = Q(pk__in=planned) | Q(pk__in=installed.values("item__design"))
    return used | (_unused(reach, Asset, "design") & _unused(reach, Item, "design"))


def _relations(reach: Reach) -> Q:
    return Q(source__in=_assets(reach), target__in=_assets(reach))


def _declared(reach: Reach) -> Q:
    designs = Design.objects.filter(_designs(reach)).order_by()
    return (Q(design__isnull=True) | Q(design__in=designs)) & _anywhere(reach)


def _references(of_target: Callable[[Reach, type[Model]], Q]) -> Callable[[Reach], Q]:
    def owned(reach: Reach) -> Q:
        found = Q()
        for name in TARGETS:
            target: Any = ExternalReference._meta.get_field(name).related_model
            seen = target._default_manager.filter(of_target(reach, target)).order_by()
            # Beginning at the references, of which few name a sensor, and not at all the sensors that are seen.
            named = ExternalReference.objects.filter(**{f"{name}__isnull": False, f"{name}__in": seen})
            found |= Q(pk__in=named.order_by().values("pk"))
        return found

    return owned


def _unused(reach: Reach, by: type[Model], name: str) -> Q:
    """What no row refers to belongs to nobody, and so to all who may do it anywhere."""
    return Q(~Exists(by._default_manager.filter(**{name: OuterRef("pk")}))) & _anywhere(reach)


def _anywhere(reach: Reach) -> Q:
    return Q() if reach else _nothing(reach)


def _nothing(reach: Reach) -> Q:
    return Q(pk__in=())


_WAYS: dict[type[Model], Callable[[Reach], Q]] = {
    Asset: Reach.assets,
    AssetType: _anywhere,
    Design: _designs,
    ExternalReference: _references(Reach.of),
    FailureCode: _declared,
    Grant: _at_asset,
    Installation: _at_asset,
    Item: _items,
    MaintenanceEvent: _at_asset,
    ParameterDefinition: _declared,
    Relation: _relations,
    Sensor: _at_asset,
    SensorTemplate: _declared,
}
_OWN: dict[type[Model], Callable[[Reach], Q]] = {
    AssetType: _nothing,
    Design: _nothing,
    ExternalReference: _references(Reach.own),
    FailureCode: _nothing,
    Item: _own_items,
    ParameterDefinition: _nothing,
    SensorTemplate: _nothing,
}
_OWNERS: dict[type[Model], tuple[str, ...]] = {
    ExternalReference: TARGETS,
    MaintenanceEvent: ("asset",),
    Sensor: ("asset",),
}
"""The columns that say what a row hangs on."""
