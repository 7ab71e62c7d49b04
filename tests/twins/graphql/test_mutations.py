"""Mutations keep the promises of the services: whole or not at all, once for a key, refusals as values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User

from assets.models import Asset, Change, Installation, MaintenanceEvent
from assets.permissions import Rights
from assets.services import give_role
from twins.graphql.ids import Kind, global_id
from twins.models import KeptAnswer
from twins.services.principals import Principal

Answers = Callable[..., Any]
REFUSED = "... on Refusal { code message row field }"
TWINS = f"{{ __typename ... on TwinsWritten {{ repeated nodes {{ tag path }} }} {REFUSED} }}"


@pytest.fixture
def writer(db: None) -> Principal:
    """A token of nobody that may read and write, and send readings."""
    return Principal(user=None, token=_Token(), scopes=frozenset({"read", "write", "ingest"}), rights=Rights.all())


class _Token:
    name = "sap"


@pytest.fixture
def change(ask: Answers, writer: Principal) -> Answers:
    """Ask a mutation with one field and give what the field answered."""

    def asking(query: str, principal: Principal | None = None, **variables: Any) -> Any:
        answer = ask(query, principal=principal or writer, splice=True, **variables)
        assert not answer.errors, answer.errors
        (field,) = answer.data.values()
        return field

    return asking


def _twin(asset: Asset) -> str:
    return global_id(Kind.TWIN, asset.pk)


CREATE = f"""mutation($rows: [NewAssetInput!]!, $under: ID, $key: String) {{
    createAssets(rows: $rows, under: $under, key: $key) {TWINS} }}"""


def test_what_was_created_is_answered_and_a_query_right_after_shows_it(
    ask: Answers, change: Answers, plant: dict[str, Asset]
) -> None:
    rows = [
        {"tag": "GT3", "name": "Third", "level": "PRODUCT", "attributes": {"power": 5.5}},
        {"tag": "GT3-B1", "name": "Bearing", "level": "PART", "parent": "GT3", "design": {"code": "6205"}},
    ]
    answer = change(CREATE, rows=rows, under=_twin(plant["PLANT"]))
    assert answer == {
        "__typename": "TwinsWritten",
        "repeated": False,
        "nodes": [{"tag": "GT3", "path": ["PLANT", "GT3"]}, {"tag": "GT3-B1", "path": ["PLANT", "GT3", "GT3-B1"]}],
    }
    query = """{ twin(tag: "GT3") { name attributes { ... on NumberAttribute { value } }
        children { nodes { tag type { code } design { code } } } } }"""
    assert ask(query, splice=True)["twin"] == {
        "name": "Third",
        "attributes": [{"value": 5.5}],
        "children": {"nodes": [{"tag": "GT3-B1", "type": {"code": "bearing"}, "design": {"code": "6205"}}]},
    }
    assert set(Change.objects.filter(source="api").values_list("source", flat=True)) == {"api"}


def test_one_row_that_is_refused_keeps_all_others_out(change: Answers, plant: dict[str, Asset]) -> None:
    before = Asset.objects.count()
    rows = [{"tag": "NEW", "name": "New", "level": "PART"}, {"tag": "GT1", "name": "Taken", "level": "PART"}]
    answer = change(CREATE, rows=rows, under=_twin(plant["PLANT"]), key="one")
    assert answer["code"] == "ALREADY_EXISTS"
    assert answer["message"] == "Tag 'GT1' is already used in this tree: choose another tag."
    assert (Asset.objects.count(), KeptAnswer.objects.count()) == (before, 0)


def test_a_key_that_is_repeated_gets_the_first_answer_and_does_nothing(
    change: Answers, plant: dict[str, Asset]
) -> None:
    given = {"rows": [{"tag": "NEW", "name": "New", "level": "PART"}], "under": _twin(plant["PLANT"]), "key": "42"}
    first = change(CREATE, **given)
    count = Asset.objects.count()
    assert change(CREATE, **given) == first | {"repeated": True}
    assert Asset.objects.count() == count
    other = change(CREATE, **{**given, "rows": [{"tag": "OTHER", "name": "Other", "level": "PART"}]})
    assert (other["code"], Asset.objects.count()) == ("CONFLICTING_KEY", count)
    assert change(CREATE, **{**given, "key": "x" * 201})["code"] == "INVALID_VALUE"
    someone = Principal(user=User.objects.create_superuser("root"), scopes=frozenset({"write", "read"})).with_rights()
    assert change(CREATE, someone, **given)["code"] == "ALREADY_EXISTS"


CHANGE = f"mutation($rows: [AssetChange!]!) {{ changeAssets(rows: $rows) {TWINS} }}"


def test_a_change_writes_what_is_given_and_leaves_the_rest(change: Answers, plant: dict[str, Asset]) -> None:
    second = plant["GT1-B2"]
    row = {"id": _twin(second), "name": "Renamed", "design": None, "criticality": 5}
    assert change(CHANGE, rows=[row])["nodes"] == [{"tag": "GT1-B2", "path": ["PLANT", "GT1", "GT1-B2"]}]
    fresh = Asset.objects.get(pk=second.pk)
    assert (fresh.name, fresh.design_id, fresh.criticality) == ("Renamed", None, 5)
    kept = {"power": 7.5, "fits": False, "more": 10**300}
    assert (fresh.tag, fresh.status, fresh.type, fresh.attributes) == ("GT1-B2", "operating", second.type, kept)


@pytest.mark.parametrize(
    ("row", "code", "field"),
    [
        ({"name": None}, "INVALID_VALUE", "name"),
        ({"criticality": 7}, "INVALID_VALUE", None),
        ({"attributes": [1]}, "INVALID_VALUE", "attributes"),
        ({"type": "nothing"}, "INVALID_VALUE", "type"),
        ({"design": {"code": "6205", "revision": "Z"}}, "INVALID_VALUE", "design"),
        ({"tag": "GT1"}, "ALREADY_EXISTS", None),
        ({"level": "SYSTEM"}, "INVALID_HIERARCHY", None),
        ({"name": "a\u0000"}, "INVALID_VALUE", "name"),
    ],
)
def test_a_change_that_cannot_be_says_why_and_changes_nothing(
    change: Answers, plant: dict[str, Asset], row: dict[str, Any], code: str, field: str | None
) -> None:
    before = list(Asset.objects.order_by("pk").values())
    first = {"id": _twin(plant["GT1-B1"]), "name": "Changed first"}
    answer = change(CHANGE, rows=[first, {"id": _twin(plant["GT1-B2"]), **row}])
    assert (answer["__typename"], answer["code"]) == ("Refusal", code)
    assert field is None or (answer["row"], answer["field"]) == (1, field)
    assert list(Asset.objects.order_by("pk").values()) == before


MOVE = f"mutation($rows: [AssetMove!]!) {{ moveAssets(rows: $rows) {TWINS} }}"


def test_a_move_takes_everything_below_along(change: Answers, plant: dict[str, Asset]) -> None:
    moved = change(
        MOVE, rows=[{"id": _twin(plant["GT2"])}, {"id": _twin(plant["GT1-B1"]), "parent": _twin(plant["GT2"])}]
    )
    assert moved["nodes"] == [{"tag": "GT2", "path": ["GT2"]}, {"tag": "GT1-B1", "path": ["GT2", "GT1-B1"]}]
    assert Asset.objects.get(tag="GT2-B1").path == [plant["GT2"].pk, plant["GT2-B1"].pk]
    into_itself = change(MOVE, rows=[{"id": _twin(plant["GT2"]), "parent": _twin(plant["GT2-B1"])}])
    assert into_itself["code"] == "INVALID_HIERARCHY"
    nowhere = change(MOVE, rows=[{"id": _twin(plant["GT2"]), "parent": global_id(Kind.TWIN, 10**9)}])
    assert (nowhere["code"], nowhere["row"], nowhere["field"]) == ("INVALID_VALUE", 0, "parent")


PLACED = (
    f"{{ __typename ... on InstallationsWritten {{ nodes {{ since until removalReason item {{ id }} }} }} {REFUSED} }}"
)


def test_an_item_is_made_installed_replaced_and_removed(change: Answers, plant: dict[str, Asset]) -> None:
    make = f"""mutation($rows: [NewItemInput!]!) {{ createItems(rows: $rows) {{ ... on ItemsWritten {{ nodes {{
        id serialNumber build design {{ code }} }} }} {REFUSED} }} }}"""
    design = {"code": "6205"}
    rows = [{"design": design, "serialNumber": name, "build": {"batch": "b"}} for name in ("N-1", "N-2")]
    made = change(make, rows=rows)["nodes"]
    assert [(each["serialNumber"], each["build"], each["design"]) for each in made] == [
        ("N-1", {"batch": "b"}, design), ("N-2", {"batch": "b"}, design),
    ]  # fmt: skip
    assert change(make, rows=rows)["code"] == "ALREADY_EXISTS"
    place = _twin(plant["GT1-B1"])
    install = f"mutation($rows: [NewInstallationInput!]!) {{ installItems(rows: $rows) {PLACED} }}"
    row = {"asset": place, "item": made[0]["id"], "since": "2026-03-05T00:00:00Z"}
    assert change(install, rows=[row])["code"] == "ALREADY_OCCUPIED"
    replace = f"mutation($rows: [ReplacementInput!]!) {{ replaceItems(rows: $rows) {PLACED} }}"
    row = {"asset": place, "item": made[0]["id"], "at": "2026-03-05T00:00:00Z", "reason": "worn"}
    begun = {"since": "2026-03-05T00:00:00.000000Z", "until": None, "removalReason": "", "item": {"id": made[0]["id"]}}
    assert change(replace, rows=[row])["nodes"] == [begun]
    assert Installation.objects.get(item__serial_number="SN-GT1-B1").removal_reason == "worn"
    remove = f"mutation($rows: [RemovalInput!]!) {{ removeItems(rows: $rows) {PLACED} }}"
    row = {"asset": place, "at": "2026-03-06T00:00:00Z", "reason": "test"}
    assert change(remove, rows=[row])["nodes"] == [
        begun | {"until": "2026-03-06T00:00:00.000000Z", "removalReason": "test"}
    ]
    assert change(remove, rows=[row])["code"] == "NOT_INSTALLED"
    row = {"asset": place, "item": made[1]["id"], "since": "2026-03-07T00:00:00Z"}
    assert change(install, rows=[row])["nodes"][0]["item"] == {"id": made[1]["id"]}


def test_relations_begin_and_end(change: Answers, ask: Answers, plant: dict[str, Asset]) -> None:
    shown = f"{{ ... on RelationsWritten {{ nodes {{ id kind until twin {{ tag }} }} }} {REFUSED} }}"
    relate = f"mutation($rows: [NewRelationInput!]!) {{ relateAssets(rows: $rows) {shown} }}"
    ends = {"source": _twin(plant["GT2"]), "target": _twin(plant["GT1"])}
    row = ends | {"kind": "POWERS", "since": "2026-03-01T00:00:00Z"}
    (edge,) = change(relate, rows=[row])["nodes"]
    assert edge == {"id": edge["id"], "kind": "POWERS", "until": None, "twin": {"tag": "GT1"}}
    assert change(relate, rows=[row])["code"] == "ALREADY_EXISTS"
    end = f"mutation($rows: [ID!]!, $at: DateTime!) {{ endRelations(rows: $rows, at: $at) {shown} }}"
    ended = change(end, rows=[edge["id"]], at="2026-03-02T00:00:00Z")["nodes"]
    assert ended == [edge | {"until": "2026-03-02T00:00:00.000000Z"}]
    assert change(end, rows=[edge["id"]], at="2026-03-03T00:00:00Z")["code"] == "INVALID_VALUE"
    query = '{ twin(tag: "GT2") { relations(kinds: [POWERS]) { totalCount } } }'
    assert ask(query, splice=True)["twin"]["relations"] == {"totalCount": 0}


def test_events_and_sensors_are_recorded(change: Answers, ask: Answers, plant: dict[str, Asset]) -> None:
    record = f"""mutation($rows: [NewEventInput!]!) {{ recordEvents(rows: $rows) {{
        ... on EventsWritten {{ nodes {{ kind mode }} }} {REFUSED} }} }}"""
    place = _twin(plant["GT1-B2"])
    row = {"asset": place, "kind": "FAILURE", "mode": "spalling", "startedAt": "2026-03-02T00:00:00Z"}
    assert change(record, rows=[row])["nodes"] == [{"kind": "FAILURE", "mode": "spalling"}]
    count = MaintenanceEvent.objects.count()
    refused = change(record, rows=[row, row | {"mode": "nonsense"}])
    assert (refused["row"], refused["field"], MaintenanceEvent.objects.count()) == (1, "mode", count)
    create = f"""mutation($rows: [NewSensorInput!]!) {{ createSensors(rows: $rows) {{
        ... on SensorsWritten {{ nodes {{ name unit role }} }} {REFUSED} }} }}"""
    row = {"asset": place, "name": "speed", "quantity": "speed", "unit": "/min", "role": "SETTING"}
    assert change(create, rows=[row])["nodes"] == [{"name": "speed", "unit": "/min", "role": "SETTING"}]
    assert change(create, rows=[row])["code"] == "ALREADY_EXISTS"
    query = '{ twin(tag: "GT1-B2") { events(first: 1) { nodes { startedAt } } sensors { totalCount } } }'
    assert ask(query, splice=True)["twin"] == {
        "events": {"nodes": [{"startedAt": "2026-03-02T00:00:00.000000Z"}]},
        "sensors": {"totalCount": 3},
    }


UPSERT = f"""mutation($rows: [AssetRow!]!, $dry: Boolean!, $key: String) {{
    upsertAssets(input: $rows, source: "SAP", dryRun: $dry, key: $key) {{ ... on UpsertDone {{
        written created changed unchanged refused repeated
        nodes {{ row action column reason changes {{ column old new }} }} }} {REFUSED} }} }}"""


def test_an_upsert_says_of_each_row_what_becomes_of_it_and_again_changes_nothing(
    change: Answers, plant: dict[str, Asset]
) -> None:
    rows: list[Any] = [
        {"tag": "GT9-B", "parent": "GT9", "level": "PART", "name": "Bearing", "externalKey": "7001"},
        {"tag": "GT9", "parent": "PLANT", "site": "PLANT", "level": "PRODUCT", "name": "Ninth", "externalKey": "7000"},
        {"tag": "GT1", "site": "PLANT", "criticality": 5},
        {"tag": "GT2", "site": "PLANT", "criticality": 3},
    ]
    rows[0]["site"] = "PLANT"
    before = Asset.objects.count()
    dry = change(UPSERT, rows=rows, dry=True)
    assert (dry["written"], dry["created"], dry["changed"], dry["unchanged"], dry["refused"]) == (False, 2, 1, 1, 0)
    assert [each["action"] for each in dry["nodes"]] == ["create", "create", "change", "unchanged"]
    assert dry["nodes"][2]["changes"] == [{"column": "criticality", "old": 3, "new": 5}]
    assert (Asset.objects.count(), Asset.objects.get(tag="GT1").criticality) == (before, 3)
    done = change(UPSERT, rows=rows, dry=False, key="night")
    assert done == dry | {"written": True}
    assert change(UPSERT, rows=rows, dry=False, key="night") == done | {"repeated": True}
    assert Asset.objects.get(tag="GT9-B").path == [
        plant["PLANT"].pk, Asset.objects.get(tag="GT9").pk, Asset.objects.get(tag="GT9-B").pk,
    ]  # fmt: skip
    again = change(UPSERT, rows=rows, dry=False)
    assert (again["written"], again["unchanged"]) == (True, 4)
    renamed = change(UPSERT, rows=[{"tag": "GT9-X", "site": "PLANT", "externalKey": "7000"}], dry=False)
    assert renamed["nodes"][0]["changes"] == [{"column": "tag", "old": "GT9", "new": "GT9-X"}]


def test_an_upsert_with_a_refused_row_writes_nothing(change: Answers, plant: dict[str, Asset]) -> None:
    before = list(Asset.objects.order_by("pk").values())
    rows = [{"tag": "GT1", "site": "PLANT", "criticality": 5}, {"tag": "GT2", "site": "PLANT", "type": "nothing"}]
    done = change(UPSERT, rows=rows, dry=False)
    assert (done["written"], done["changed"], done["refused"]) == (False, 1, 1)
    assert (done["nodes"][1]["row"], done["nodes"][1]["action"], done["nodes"][1]["column"]) == (1, "refused", "type")
    assert list(Asset.objects.order_by("pk").values()) == before


def test_who_may_not_is_told_so_and_changes_nothing(change: Answers, ask: Answers, plant: dict[str, Asset]) -> None:
    users = {name: User.objects.create_user(name) for name in ("viewer", "planner")}
    for name, user in users.items():
        give_role(role=name, user=user, asset=plant["GT1"])
    scopes = frozenset({"read", "write"})
    viewer, planner = (Principal(user=user, scopes=scopes).with_rights() for user in users.values())
    before = list(Asset.objects.order_by("pk").values())
    own, foreign = {"id": _twin(plant["GT1-B1"]), "name": "X"}, {"id": _twin(plant["GT2-B1"]), "name": "X"}
    assert change(CHANGE, viewer, rows=[own])["code"] == "NOT_ALLOWED"
    refused = change(CHANGE, planner, rows=[own, foreign])
    assert (refused["code"], refused["row"]) == ("INVALID_VALUE", 1)
    assert "there is no twin of this id that you may see" in refused["message"]
    reader = Principal(user=users["planner"], scopes=frozenset({"read"})).with_rights()
    answer = ask(CHANGE, principal=reader, rows=[own])
    assert answer.data is None
    assert answer.errors == ["This needs the scope 'write': use a token that was created with it."]
    assert list(Asset.objects.order_by("pk").values()) == before
    assert change(CHANGE, planner, rows=[own])["nodes"] == [{"tag": "GT1-B1", "path": ["GT1", "GT1-B1"]}]
    assert Change.objects.filter(actor="planner").exists()


def test_more_rows_than_a_mutation_takes_are_refused(ask: Answers, writer: Principal, plant: Any) -> None:
    rows = [{"tag": f"N{number}", "name": "n", "level": "PART"} for number in range(1001)]
    answer = ask(CREATE, principal=writer, rows=rows)
    assert answer.errors == ["1001 rows are more than the 1000 of one mutation: send them in several."]
    assert not Asset.objects.filter(tag="N0").exists()


def test_the_rows_of_a_mutation_count_in_its_cost(ask: Answers, writer: Principal, plant: Any) -> None:
    dear = CREATE.replace("tag path", "children(first: 1000) { nodes { tag children { nodes { tag } } } }")
    rows = [{"tag": f"N{number}", "name": "n", "level": "PART"} for number in range(100)]
    assert "The cost of this query" in ask(dear, principal=writer, rows=rows).errors[0]
    assert not Asset.objects.filter(tag="N0").exists()


SEND = f"""mutation($rows: [ReadingInput!]!, $key: String) {{ sendReadings(rows: $rows, key: $key) {{
    ... on ReadingsTaken {{ accepted rejected repeated nodes {{ row reason }} }} {REFUSED} }} }}"""


@pytest.mark.django_db(transaction=True)
def test_a_reading_is_kept_once_and_seen_at_once(ask: Answers, change: Answers, make: Any) -> None:
    sensor = make.sensor(make.asset("P", "part"), "T1", valid_max=100.0)
    row = {"sensor": str(sensor.uuid), "time": "2026-03-01T12:00:00Z", "value": 21.5}
    taken = {"accepted": 1, "rejected": 0, "repeated": False, "nodes": []}
    assert change(SEND, rows=[row], key="1") == taken
    assert change(SEND, rows=[row], key="1") == taken | {"repeated": True}
    query = '{ twin(tag: "P") { sensors { nodes { latest { time value quality } } } } }'
    seen = {"time": "2026-03-01T12:00:00.000000Z", "value": 21.5, "quality": 0}
    assert ask(query, splice=True)["twin"]["sensors"]["nodes"] == [{"latest": seen}]
    assert change(SEND, rows=[row | {"value": 5}], key="1")["code"] == "CONFLICTING_KEY"
    refused = change(SEND, rows=[row | {"value": 5}, row | {"value": 101, "time": "2026-03-01T12:01:00Z"}])
    assert (refused["accepted"], refused["rejected"], refused["nodes"][0]["row"]) == (0, 1, 1)
    assert ask(query, splice=True)["twin"]["sensors"]["nodes"] == [{"latest": seen}]
