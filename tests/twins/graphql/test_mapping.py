"""The mapping is held against the models when the schema is made: each kind of fault is put in and found."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from assets.models import Asset, Installation, Item, Sensor
from twins.exceptions import ConfigurationError
from twins.graphql.ids import Kind, Order
from twins.graphql.planner import Column, Each, Elements, GlobalId, Kinds, One, Pages, RootPages, Same, sql
from twins.graphql.planner.checking import check_mapping
from twins.graphql.planner.selected import mapping_of
from twins.graphql.schema import KINDS, schema
from twins.graphql.types.register import EVENT_PAGES
from twins.graphql.types.sensor import SENSOR_PAGES
from twins.graphql.types.twin import ASSESSED, TWIN_KINDS
from twins.selectors.choices import SEARCHED


def _check(kinds: Any = KINDS, searched: Any = None) -> None:
    check_mapping(schema._schema, kinds, searched or {Asset: SEARCHED})


def _field(name: str) -> Any:
    kind, field = name.split(".")
    return schema._schema.type_map[kind].fields[field]  # type: ignore[attr-defined]


_ALL = Pages(Asset, "true", Order.TAG, "{it}.tag")
FAULTS: dict[str, tuple[str, Any, str]] = {
    "a column that is not there": ("Sensor.name", Column("label"), "Sensor has no column 'label'"),
    "a column that may be null": ("Item.serialNumber", Column("made_at"), "made_at may be null and the field may not"),
    "a column of another kind": (
        "SystemTwin.criticality",
        Column("tag"),
        "tag is a CharField, which is not written as",
    ),
    "a number for a text": ("SystemTwin.name", Column("criticality"), "which is not written as String"),
    "words that are not the column's": ("SystemTwin.status", Column("level"), "AssetStatus has ['operating'"),
    "an expression that may be null": (
        "Installed.since",
        Column(expression="upper({row}.period)"),
        "an expression may be null and the field may not",
    ),
    "an id that may be null": ("Item.id", GlobalId(Kind.ITEM, "retired_at"), "an id is never null"),
    "a list that is no JSON": ("Health.drivers", Elements("health"), "health holds no JSON"),
    "a reference that may be null": (
        "Installed.item",
        One(Item, "{it}.design_id = {row}.item_id"),
        "there may be none and the field may not be null",
    ),
    "an object that may be absent": (
        "Health.score",
        Same("{row}.health > 0"),
        "it may be absent and the field may not",
    ),
    "a lookup without an index": (
        "SystemTwin.installed",
        One(Installation, "{it}.removal_reason = {row}.tag"),
        "Installation has no index that begins with removal_reason",
    ),
    "a short list without an index": (
        "SystemTwin.externalReferences",
        Each(Sensor, "{it}.quantity = {row}.tag", "{it}.id"),
        "Sensor has no index that begins with quantity",
    ),
    "pages without an index": (
        "SystemTwin.sensors",
        replace(SENSOR_PAGES, on="{it}.unit = {row}.tag"),
        "Sensor has no index that begins with unit",
    ),
    "an order over what may be null": (
        "SystemTwin.events",
        replace(EVENT_PAGES, value="{it}.ended_at"),
        "it is ordered by ended_at, which may be null",
    ),
    "an order by what is no column": (
        "SystemTwin.sensors",
        replace(SENSOR_PAGES, value="upper({it}.name)"),
        "'upper({it}.name)' is no column to be ordered by",
    ),
    "cursors of another kind": (
        "SystemTwin.events",
        replace(EVENT_PAGES, order=Order.HEALTH),
        "cursors of the order health do not write a DateTimeField",
    ),
    "a root without an index": (
        "Query.systems",
        RootPages(replace(_ALL, order=Order.NAME, value="{it}.name")),
        "Asset has no index that begins with name",
    ),
    "a joined root without an index": (
        "Query.worst",
        RootPages(replace(_ALL, order=Order.STARTED, value="{it}h.assessed_at"), joined=ASSESSED),
        "Assessment has no index that begins with assessed_at",
    ),
    "places without an index": (
        "Query.worst",
        RootPages(_ALL, path="{it}.path"),
        "Asset has no index that begins with path__0",
    ),
}


def test_the_mapping_is_true_of_the_models() -> None:
    _check()


@pytest.mark.parametrize("fault", list(FAULTS))
def test_a_fault_is_found_when_the_schema_is_made(monkeypatch: Any, fault: str) -> None:
    name, mapping, reason = FAULTS[fault]
    before = mapping_of(_field(name))
    with monkeypatch.context() as put:
        put.setattr(_field(name).extensions["strawberry-definition"], "metadata", sql(mapping))
        with pytest.raises(ConfigurationError) as raised:
            _check()
    assert f"{name}: " in str(raised.value).replace("ProductTwin", "SystemTwin").replace("PartTwin", "SystemTwin")
    assert reason in str(raised.value)
    assert mapping_of(_field(name)) is before


def test_a_type_that_no_row_could_be_is_found() -> None:
    fewer = {name: value for name, value in TWIN_KINDS.values.items() if name != "PartTwin"}
    with pytest.raises(ConfigurationError, match=r"Twin: its types are .'product', 'system'., the column has .'part'"):
        _check(kinds={**KINDS, "Twin": Kinds("level", fewer)})


def test_a_search_without_an_index_over_trigrams_is_found() -> None:
    with pytest.raises(ConfigurationError, match=r"Design\.name is searched without an index over trigrams"):
        _check(searched={Asset: (*SEARCHED, "design__name")})
