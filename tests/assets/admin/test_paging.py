"""The pages of a list hold each row that is seen once, in the order that was asked for, however they are found."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from assets.models import Asset, Sensor
from assets.services import create_sensors, give_role

INDEX = reverse("admin:twins_assets_sensor_changelist")


@pytest.mark.parametrize("role", ["T1-PU", None])
def test_pages_hold_what_is_seen_once_and_in_order(
    client: Client,
    ada: User,
    plant: dict[str, Asset],
    role: str | None,
) -> None:
    give_role(role="planner", user=ada, asset=plant[role] if role else None)
    rows = [
        Sensor(asset=asset, name=f"s{number:02}", quantity=f"q{number % 3}", privacy=("raw", "never")[number % 2])
        for number in range(40)
        for asset in plant.values()
    ]
    seen = [row for row in create_sensors(sensors=rows) if role is None or plant[role].pk in row.asset.path]
    by_place = sorted(seen, key=lambda row: (row.asset_id, row.name))
    orders = {
        "": by_place,
        "o=0.1": sorted(seen, key=lambda row: (row.name, row.asset.tag, -row.pk)),
        "o=-1.0": sorted(
            sorted(seen, key=lambda row: (row.name, -row.pk)), key=lambda row: row.asset.tag, reverse=True
        ),
        "o=2.-0": sorted(sorted(seen, key=lambda row: (row.name, row.pk), reverse=True), key=lambda row: row.quantity),
        "privacy__exact=never": [row for row in by_place if row.privacy == "never"],
        "q=t1-nde": [row for row in by_place if row.asset.tag == "T1-NDE"],
        "q=bearing q1&o=0.1": sorted(
            (row for row in seen if row.quantity == "q1" and "bearing" in row.asset.name),
            key=lambda row: (row.name, row.asset.tag, -row.pk),
        ),
        "q=nowhere": [],
    }
    for asked, expected in orders.items():
        pages = -(-len(expected) // 50) or 1
        shown = [client.get(f"{INDEX}?{asked}&p={page}").context["cl"] for page in range(1, pages + 1)]
        assert [each.result_count for each in shown] == [len(expected)] * pages, asked
        assert [row.pk for each in shown for row in each.result_list] == [row.pk for row in expected], asked


def test_nobody_finds_by_words_what_is_not_seen(client: Client, ada: User, plant: dict[str, Asset]) -> None:
    give_role(role="planner", user=ada, asset=plant["T1-DE"])
    create_sensors(sensors=[Sensor(asset=asset, name=f"S-{tag}", quantity="x") for tag, asset in plant.items()])
    for words in ("bearing", "S-T2", "S", "x", "plant", "S-T1-DE bearing"):
        listed = client.get(INDEX, {"q": words}).context["cl"]
        named = {"app_label": "twins_assets", "model_name": "externalreference", "field_name": "sensor", "term": words}
        offered = client.get(reverse("admin:autocomplete"), named).json()["results"]
        expected = ["S-T1-DE of T1-DE"] if words in ("bearing", "S", "x", "S-T1-DE bearing") else []
        assert [str(row) for row in listed.result_list] == [each["text"] for each in offered] == expected, words


def test_what_is_offered_to_choose_from_has_pages_too(client: Client, ada: User, plant: dict[str, Asset]) -> None:
    give_role(role="planner", user=ada, asset=plant["T1-PU"])
    rows = [Sensor(asset=asset, name=f"s{n:02}", quantity="x") for n in range(15) for asset in plant.values()]
    made = sorted(create_sensors(sensors=rows), key=lambda row: (row.asset_id, row.name))
    seen = [str(row) for row in made if plant["T1-PU"].pk in row.asset.path]
    named = {"app_label": "twins_assets", "model_name": "externalreference", "field_name": "sensor"}
    for term in ("", "s"):
        pages = [
            client.get(reverse("admin:autocomplete"), {**named, "term": term, "page": page}).json()
            for page in (1, 2, 3)
        ]
        assert [each["text"] for page in pages for each in page["results"]] == seen
        assert [page["pagination"]["more"] for page in pages] == [True, True, False]


@pytest.mark.parametrize("role", ["T1-PU", None])
def test_a_page_that_is_not_there_leads_back(
    client: Client, ada: User, plant: dict[str, Asset], role: str | None
) -> None:
    give_role(role="planner", user=ada, asset=plant[role] if role else None)
    create_sensors(sensors=[Sensor(asset=plant["T1-DE"], name=f"s{n}", quantity="x") for n in range(60)])
    shown = {page: client.get(INDEX, {"p": page}) for page in ("0", "-1", "3", "999999999999", "x", "", "2")}
    found = {
        page: [row.name for row in answer.context["cl"].result_list] for page, answer in shown.items() if answer.context
    }
    assert {page: answer.status_code for page, answer in shown.items() if page not in found} == dict.fromkeys(
        ("0", "-1", "3", "999999999999"), 302
    )
    names = sorted(f"s{n}" for n in range(60))
    assert found == {"x": names[:50], "": names[:50], "2": names[50:]}
