"""Series of a source become sensors: by the rule of the source, each series once, remembered for some seconds."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Sequence

from django.db.models import Q

from assets.exceptions import AssetsError
from assets.models import Asset, Sensor
from assets.services import create_sensors
from twins.models import SeriesRule
from twins.selectors.sensors import sensors_by_place
from twins.sources import LineError, Series, parse_series

REMEMBERED = 10.0
"""Seconds after which a changed rule, or a sensor under another name, is known everywhere."""
_MOST = 1_000_000
_BRACES = re.compile(r"\{([^{}]*)\}")

Place = tuple[str, str]
"""Tag of an asset and name of a sensor there."""


class SeriesRules:
    """What one process remembers of rules, and of the sensors they led to."""

    def __init__(self) -> None:
        self._until = 0.0
        self.age = 0
        """How often what was remembered has been forgotten."""
        self._rules: dict[tuple[str, str], SeriesRule] = {}
        self._keys: dict[tuple[int | None, str], int] = {}

    def rule(self, *, source: str, bucket: str) -> SeriesRule:
        """The rule in force for a source (name of its token) and bucket."""
        self._refresh()
        if (source, bucket) not in self._rules:
            self._rules[source, bucket] = _rule(source, bucket)
        return self._rules[source, bucket]

    def keys(self, names: Sequence[str], rule: SeriesRule) -> dict[str, int]:
        """The lake keys of "measurement,tag=value field" by a rule; unknown ones are absent, or registered by it."""
        self._refresh()
        known, unknown = {}, []
        for name in names:
            key = self._keys.get((rule.pk, name))
            if key is None:
                unknown.append(name)
            else:
                known[name] = key
        if unknown:
            found = _look_up(unknown, rule)
            self._keys.update({(rule.pk, name): key for name, key in found.items()})
            known |= found
        return known

    def forget(self) -> None:
        """Ask the database again."""
        self._until = 0.0

    def _refresh(self) -> None:
        now = time.monotonic()
        if now > self._until or len(self._keys) > _MOST:
            # Replaced, not emptied: other threads may be reading the old ones.
            self._rules, self._keys, self._until = {}, {}, now + REMEMBERED
            self.age += 1


RULES = SeriesRules()


def _rule(source: str, bucket: str) -> SeriesRule:
    fitting = SeriesRule.objects.filter(Q(source=source) | Q(source=""), Q(bucket=bucket) | Q(bucket=""))
    return max(fitting, key=lambda rule: (bool(rule.source), bool(rule.bucket)), default=SeriesRule())


def place(series: Series, rule: SeriesRule) -> Place:
    """Which sensor of which asset a rule says a series is; empty where a template finds nothing."""
    quantity = series.measurement if series.field == "value" else series.field
    names = {**series.tags, "measurement": series.measurement, "field": series.field, "quantity": quantity}

    def fill(template: str) -> str:
        return _BRACES.sub(lambda found: next((names[n] for n in found[1].split("|") if n in names), ""), template)

    return fill(rule.asset), fill(rule.sensor)


def _look_up(names: Sequence[str], rule: SeriesRule) -> dict[str, int]:
    places = {name: one for name in names if (one := _place(name, rule))}
    wanted = [one for one in dict.fromkeys(places.values()) if all(one) and "\x00" not in "".join(one)]
    found = _found(wanted, rule)
    if rule.register_unknown and (missing := [one for one in wanted if found[one][1] is None]):
        _register([Sensor(asset_id=asset, name=one[1], quantity=one[1]) for one in missing if (asset := found[one][0])])
        found = _found(wanted, rule)
        if rule.below and (homeless := {one: (rule.below.tag, "/".join(one)) for one in wanted if not found[one][0]}):
            found |= _at_the_top(homeless, rule.below)
    return {name: key for name, one in places.items() if (key := found.get(one, (None, None))[1]) is not None}


def _place(name: str, rule: SeriesRule) -> Place | None:
    try:
        return place(parse_series(name), rule)
    except LineError:
        return None


def _found(wanted: Sequence[Place], rule: SeriesRule) -> dict[Place, tuple[int | None, int | None]]:
    return sensors_by_place(wanted, below=rule.below_id) if wanted else {}


def _at_the_top(homeless: dict[Place, Place], top: Asset) -> dict[Place, tuple[int | None, int | None]]:
    """Sensors of assets that are not in the register, under both names at the rule's asset."""
    places = list(homeless.values())
    known = sensors_by_place(places, below=top.pk)
    _register([Sensor(asset=top, name=name, quantity=name) for _, name in places if known[top.tag, name][1] is None])
    known = sensors_by_place(places, below=top.pk)
    return {one: known[place] for one, place in homeless.items()}


def register_uuids(uuids: Sequence[str], rule: SeriesRule) -> None:
    """Register sensors of which nothing but the UUID is known, at the rule's asset; without one, do nothing."""
    if rule.register_unknown and rule.below:
        _register([Sensor(uuid=uuid, asset=rule.below, name=uuid, quantity="unknown") for uuid in uuids])


def _register(sensors: list[Sensor]) -> None:
    """Two requests at once may want the same sensors: one of them makes them, and the other finds them."""
    with contextlib.suppress(AssetsError):
        if sensors:
            create_sensors(sensors=sensors)
