"""Batched reads of one operation: whatever the size of the tree, each field of a selection is one statement."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any

from django.db.models import Q
from django.utils import timezone
from graphql import GraphQLError
from strawberry.dataloader import DataLoader

from assets.selectors import failure_modes_of
from twins.graphql.database import from_database
from twins.selectors import twins as select
from twins.selectors.changes import Change, health_change
from twins.selectors.ledger import health_records, standing_warnings, track_records_of
from twins.selectors.minutes import windows_by_sensor
from twins.selectors.readings import latest_readings
from twins.selectors.reliability import Reliability, reliability_below
from twins.selectors.series import Past, pasts_of
from twins.services.principals import Principal, visible_assets


class Loader(DataLoader[Any, Any]):
    """A loader whose reads outlive those who asked.

    Where a field fails, GraphQL cancels its siblings; a read they share with fields elsewhere must not end with them.
    """

    def load(self, key: Any) -> Awaitable[Any]:
        return asyncio.shield(super().load(key))


class Loaders:
    """One loader per thing that is read; good for one operation, because what was read once is kept.

    Keys are an owner's id, or (id, arguments) where a field has arguments: owners with equal arguments share one.
    """

    def __init__(self, principal: Principal) -> None:
        self._principal = principal

    @cached_property
    def visible(self) -> Q:
        """What may be read; raises AccessDenied."""
        return visible_assets(self._principal)

    @cached_property
    def assets(self) -> Loader:
        return _by_key(lambda ids: select.assets_by_id(ids, visible=self.visible))

    @cached_property
    def children(self) -> Loader:
        return _by_arguments(
            lambda ids, key: select.children_of(ids, level=key[0], choice=key[1], page=key[2], visible=self.visible),
            list,
        )

    @cached_property
    def child_counts(self) -> Loader:
        return _by_arguments(
            lambda ids, key: select.child_counts(ids, level=key[0], choice=key[1], visible=self.visible), int
        )

    @cached_property
    def descendants(self) -> Loader:
        return _by_arguments(
            lambda ids, key: select.descendants_of(ids, choice=key[0], page=key[1], visible=self.visible), list
        )

    @cached_property
    def descendant_counts(self) -> Loader:
        return _by_arguments(lambda ids, key: select.descendant_counts(ids, choice=key, visible=self.visible), int)

    @cached_property
    def relations(self) -> Loader:
        return _by_arguments(
            lambda ids, key: select.relations_of(ids, choice=key[0], page=key[1], visible=self.visible), list
        )

    @cached_property
    def relation_counts(self) -> Loader:
        return _by_arguments(lambda ids, key: select.relation_counts(ids, choice=key, visible=self.visible), int)

    @cached_property
    def sensors(self) -> Loader:
        return _by_arguments(lambda ids, key: select.sensors_of(ids, choice=key[0], page=key[1]), list)

    @cached_property
    def sensor_counts(self) -> Loader:
        return _by_arguments(lambda ids, key: select.sensor_counts(ids, choice=key), int)

    @cached_property
    def events(self) -> Loader:
        return _by_arguments(lambda ids, key: select.events_of(ids, choice=key[0], page=key[1]), list)

    @cached_property
    def event_counts(self) -> Loader:
        return _by_arguments(lambda ids, key: select.event_counts(ids, choice=key), int)

    @cached_property
    def installed(self) -> Loader:
        """What is installed at an asset now."""
        return _by_key(select.current_installations)

    @cached_property
    def installations(self) -> Loader:
        return _by_arguments(lambda ids, page: select.installations_of(ids, page=page), list)

    @cached_property
    def installation_counts(self) -> Loader:
        return _by_key(select.installation_counts, int)

    @cached_property
    def types(self) -> Loader:
        return _by_key(select.types_by_id)

    @cached_property
    def designs(self) -> Loader:
        return _by_key(select.designs_by_id)

    @cached_property
    def references(self) -> Loader:
        """Keys in other systems by (id, column of the target)."""
        return _by_arguments(lambda ids, target: select.references_of(target, ids), list)

    @cached_property
    def attribute_units(self) -> Loader:
        """Declared units by name, by (type id, design id)."""
        return _by_key(select.attribute_units, dict)

    @cached_property
    def assessments(self) -> Loader:
        return _by_key(select.assessments_of)

    @cached_property
    def failure_modes(self) -> Loader:
        """Codes of the known failure modes by design."""
        return _by_key(failure_modes_of, list)

    @cached_property
    def warnings(self) -> Loader:
        return _by_key(standing_warnings)

    @cached_property
    def track_records(self) -> Loader:
        return _by_key(track_records_of)

    @cached_property
    def changes(self) -> Loader:
        """The change of health by (asset, since)."""
        return _by_key(_changes)

    @cached_property
    def reliability(self) -> Loader:
        """Reliability by design of everything below a twin; dear, so only a few twins of one operation are told."""
        return _by_key(lambda assets: _reliability(assets, self.visible))

    @cached_property
    def latest(self) -> Loader:
        """The newest reading by lake key of the sensor, or None."""
        return _by_key(latest_readings)

    @cached_property
    def series(self) -> Loader:
        """Readings of a window by (lake key, (start, end, points)): one scan for all sensors of one window."""
        return _by_arguments(
            lambda sensors, key: pasts_of(sensors, start=key[0], end=key[1], points=key[2]), Past.empty
        )

    @cached_property
    def aggregates(self) -> Loader:
        """Windows of equal width by (lake key, (start, end, width)): one scan for all sensors of one window."""
        return _by_arguments(
            lambda sensors, key: windows_by_sensor(sensors, start=key[0], end=key[1], width=key[2]), list
        )

    @cached_property
    def health_records(self) -> Loader:
        """What was believed in a window by (asset, (start, end, how many)), the newest first."""
        return _by_arguments(lambda assets, key: health_records(assets, start=key[0], end=key[1], limit=key[2]), list)


MOST_RECKONED = 20


def _few(what: str, asked: Sequence[object]) -> None:
    if len(asked) > MOST_RECKONED:
        raise GraphQLError(
            f"{what} is asked of {len(asked)} twins at once: ask at most {MOST_RECKONED}, "
            "or ask the twin above them, which tells it for all below."
        )


def _changes(asked: list[tuple[int, datetime]]) -> dict[tuple[int, datetime], Change | None]:
    _few("healthChange", asked)
    return {(asset, since): health_change(asset, since=since) for asset, since in asked}


def _reliability(assets: list[int], visible: Q) -> dict[int, dict[int, Reliability]]:
    _few("reliability", assets)
    now = timezone.now()
    return {asset: reliability_below(asset, now=now, visible=visible) for asset in assets}


def _none() -> None:
    return None


def _by_key(read: Callable[[list[Any]], Mapping[Any, Any]], missing: Callable[[], Any] = _none) -> Loader:
    async def load(keys: list[Any]) -> list[Any]:
        found = await from_database(read)(keys)
        return [found[key] if key in found else missing() for key in keys]

    return Loader(load_fn=load)


def _by_arguments(read: Callable[[list[Any], Any], Mapping[Any, Any]], missing: Callable[[], Any]) -> Loader:
    def read_all(keys: Sequence[tuple[Any, Any]]) -> list[Any]:
        owners: dict[Any, list[Any]] = {}
        for owner, arguments in keys:
            owners.setdefault(arguments, []).append(owner)
        found = {arguments: read(each, arguments) for arguments, each in owners.items()}
        return [found[arguments].get(owner) or missing() for owner, arguments in keys]

    async def load(keys: list[tuple[Any, Any]]) -> list[Any]:
        return await from_database(read_all)(keys)

    return Loader(load_fn=load)
