"""Forms ask for what type and design declare, by kind, unit and limits; what nobody declares stays as it is."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from assets.models import Asset, Design, Item, ParameterDefinition
from assets.services import NewAsset, create_assets, create_records


@pytest.fixture
def bearing(design: Design) -> Asset:
    """A bearing whose type and design declare four attributes, with one value that nobody declares."""
    declared: list[dict[str, Any]] = [
        {"name": "load", "unit": "kN", "minimum": 0, "maximum": 100, "required": True, "design": design},
        {"name": "oil", "kind": "choice", "choices": ["VG 46", "VG 68"], "type": design.type},
        {"name": "sealed", "kind": "boolean", "design": design},
        {"name": "supplier", "kind": "text", "design": design},
    ]
    create_records(records=[ParameterDefinition(subject="asset", **each) for each in declared])
    row = NewAsset(
        tag="B", name="Bearing", level="part", type=design.type, design=design, attributes={"load": 5, "colour": "red"}
    )
    return create_assets(rows=[row])["B"]


def page(asset: Asset) -> str:
    return reverse("admin:twins_assets_asset_change", args=[asset.pk])


def answers(asset: Asset, **changed: Any) -> dict[str, Any]:
    inlines = ("installations", "sensors", "events", "relations_out", "external_references")
    counts = {f"{inline}-{kind}_FORMS": "0" for inline in inlines for kind in ("TOTAL", "INITIAL")}
    fields = {
        "tag": asset.tag, "name": asset.name, "level": asset.level, "status": asset.status, "criticality": "3",
        "parent": "", "type": asset.type_id, "design": asset.design_id, "attributes": '{"colour": "red"}',
        "attributes.load": "5", "attributes.oil": "", "attributes.sealed": "unknown", "attributes.supplier": "",
    }  # fmt: skip
    return {**fields, **counts, **changed}


def test_a_form_has_a_typed_field_for_each_declared_value(planner: Client, bearing: Asset) -> None:
    form = planner.get(page(bearing)).context["adminform"].form
    assert form["attributes.load"].label == "load (kN)"
    assert form["attributes.load"].help_text == "0 to 100 kN"
    assert form["attributes.load"].value() == 5
    assert [value for value, _ in form.fields["attributes.oil"].choices] == ["", "VG 46", "VG 68"]
    assert form["attributes"].value() == '{"colour": "red"}'


def test_declared_and_other_values_are_kept_together(planner: Client, bearing: Asset) -> None:
    changed = {"attributes.oil": "VG 68", "attributes.sealed": "true", "attributes.supplier": "Müller"}
    assert planner.post(page(bearing), answers(bearing, **changed)).status_code == 302
    bearing.refresh_from_db()
    assert bearing.attributes == {"colour": "red", "load": 5, "oil": "VG 68", "sealed": True, "supplier": "Müller"}
    assert type(bearing.attributes["load"]) is int
    cleared = {"attributes": "{}", "attributes.load": "7.5"}
    assert planner.post(page(bearing), answers(bearing, **cleared)).status_code == 302
    bearing.refresh_from_db()
    assert bearing.attributes == {"load": 7.5}


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"attributes.load": "101"}, "less than or equal to 100"),
        ({"attributes.load": "heavy"}, "Enter a number"),
        ({"attributes.load": ""}, "This field is required"),
        ({"attributes.oil": "VG 1"}, "Select a valid choice"),
    ],
)
def test_a_value_that_does_not_fit_is_an_error_of_its_field(
    planner: Client, bearing: Asset, changed: dict[str, Any], words: str
) -> None:
    response = planner.post(page(bearing), answers(bearing, **changed))
    assert words in str(response.context["adminform"].form.errors[next(iter(changed))])
    bearing.refresh_from_db()
    assert bearing.attributes == {"load": 5, "colour": "red"}


def test_build_and_tests_of_an_item_are_asked_for_as_the_design_declares(planner: Client, design: Design) -> None:
    create_records(records=[ParameterDefinition(subject="item", name="batch", kind="text", design=design)])
    create_records(
        records=[ParameterDefinition(subject="acceptance", name="runout", unit="um", maximum=10, design=design)]
    )
    item = Item.objects.create(design=design, serial_number="S1")
    address = reverse("admin:twins_assets_item_change", args=[item.pk])
    form = {
        "design": design.pk, "serial_number": "S1", "manufacturer": "", "build": "{}", "acceptance": "{}",
        "made_at_0": "", "made_at_1": "", "retired_at_0": "", "retired_at_1": "", "retirement_reason": "",
        "installations-TOTAL_FORMS": "0", "installations-INITIAL_FORMS": "0",
        "build.batch": "7", "acceptance.runout": "12",
    }  # fmt: skip
    shown = planner.get(address).content.decode()
    assert [shown.count(f'name="{name}"') for name in ("build.batch", "acceptance.runout", "build")] == [1, 1, 1]
    assert planner.post(address, form).status_code == 302
    item.refresh_from_db()
    # A failed test is kept: it is a result and not a mistake.
    assert (item.build, item.acceptance) == ({"batch": "7"}, {"runout": 12.0})
