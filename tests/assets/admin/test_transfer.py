"""A file is previewed, then written as it was previewed; only who may import writes, only who owns the draft."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from assets.models import Asset, ImportDraft
from assets.services import change_asset, give_role

Snapshot = Callable[[], dict[str, Any]]
PAGE, WRITE, EXPORT = (f"admin:twins_assets_asset_{name}" for name in ("import", "import_write", "export"))
GOOD = "tag,name,level,parent\nLÜ,Lüfter,product,T1\nT1,Train one,system,P\nT2,Train T2,system,P\n"
BAD = GOOD + "X,Broken,nonsense,T1\n"


@pytest.fixture
def importer(client: Client, ada: User) -> Client:
    give_role(role="integrator", user=ada)
    return client


def upload(client: Client, text: str, name: str = "assets.csv", **options: str) -> Any:
    given = {"table": "", "source": "SAP", "timezone": "", "encoding": "", **options}
    return client.post(reverse(PAGE), {"file": SimpleUploadedFile(name, text.encode()), **given})


def but_drafts(register: Snapshot) -> dict[str, Any]:
    return {name: rows for name, rows in register().items() if name != "ImportDraft"}


def test_a_preview_says_what_would_happen_and_changes_nothing(
    importer: Client, plant: dict[str, Asset], register: Snapshot
) -> None:
    before = but_drafts(register)
    page = upload(importer, BAD)
    assert but_drafts(register) == before
    assert page.context["counts"] == [("assets", [("create", 1), ("change", 1), ("unchanged", 1), ("refused", 1)])]
    assert {(row["action"], row["row"]) for row in page.context["shown"]} == {("create", 2), ("change", 3)}
    [refused] = page.context["refused"]
    assert (refused.row, refused.column) == (5, "level")
    text = page.content.decode()
    assert "<del>Train T1</del>" in text
    assert "<ins>Train one</ins>" in text


def test_what_was_previewed_is_written_once(importer: Client, plant: dict[str, Asset]) -> None:
    token = upload(importer, GOOD).context["draft"].token
    assert importer.post(reverse(WRITE), {"token": token}).status_code == 302
    assert Asset.objects.get(tag="LÜ").parent == plant["T1"]
    assert Asset.objects.get(tag="T1").name == "Train one"
    assert not ImportDraft.objects.exists()
    answer = importer.post(reverse(WRITE), {"token": token}, follow=True)
    assert "no such preview" in answer.content.decode()


def test_refused_rows_keep_the_others_out_unless_they_are_left_out(
    importer: Client, plant: dict[str, Asset], register: Snapshot
) -> None:
    before = but_drafts(register)
    token = upload(importer, BAD).context["draft"].token
    answer = importer.post(reverse(WRITE), {"token": token}, follow=True)
    assert "Nothing was changed" in answer.content.decode()
    assert but_drafts(register) == before
    importer.post(reverse(WRITE), {"token": token, "skip_bad": "on"})
    assert Asset.objects.filter(tag="LÜ").exists()
    assert not Asset.objects.filter(tag="X").exists()


@pytest.mark.parametrize(
    ("name", "text", "options", "words"),
    [
        ("assets.exe", GOOD, {}, "not a CSV, XLSX or JSON file"),
        ("../../assets.csv", "nothing here\n1\n", {}, "there is no column"),
        ("assets.xlsx", GOOD, {}, "assets.xlsx"),
        ("assets.csv", GOOD, {"timezone": "Mars"}, "is not a time zone"),
        ("assets.csv", GOOD, {"encoding": "ascii"}, "it is not text in ascii"),
        ("cats.csv", GOOD, {}, "There is no table"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_with_a_reason(
    importer: Client, plant: dict[str, Asset], register: Snapshot, name: str, text: str, options: Any, words: str
) -> None:
    before = register()
    page = upload(importer, text, name, **options)
    assert page.status_code == 200
    assert words in page.content.decode().replace("&#x27;", "'")
    assert register() == before


def test_a_draft_is_its_users_and_for_an_hour(importer: Client, plant: dict[str, Asset]) -> None:
    token = upload(importer, GOOD).context["draft"].token
    other = User.objects.create_superuser("other")
    stranger = Client()
    stranger.force_login(other)
    stranger.post(reverse(WRITE), {"token": token})
    assert not Asset.objects.filter(tag="LÜ").exists()
    ImportDraft.objects.update(made_at=timezone.now() - timedelta(minutes=61))
    importer.post(reverse(WRITE), {"token": token})
    assert not Asset.objects.filter(tag="LÜ").exists()
    assert not ImportDraft.objects.exists()


@pytest.mark.parametrize(("role", "top"), [("planner", None), ("viewer", None), ("integrator", "T1")])
def test_only_who_may_import_everywhere_imports(
    client: Client, ada: User, plant: dict[str, Asset], register: Snapshot, role: str, top: str | None
) -> None:
    give_role(role=role, user=ada, asset=plant[top] if top else None)
    before = register()
    assert client.get(reverse(PAGE)).context["form"] is None
    assert upload(client, GOOD).status_code == 403
    assert client.post(reverse(WRITE), {"token": "x"}).status_code == 403
    assert register() == before


def test_an_export_holds_what_the_user_may_see(client: Client, ada: User, plant: dict[str, Asset]) -> None:
    for tag in ("T1-DE", "T2-DE"):
        plant[tag].attributes = {f"of {tag}": 1}
        change_asset(asset=plant[tag])
    give_role(role="viewer", user=ada, asset=plant["T1-PU"])
    for kind, begins in (("csv", b"tag,"), ("json", b"{"), ("xlsx", b"PK")):
        answer = client.get(reverse(EXPORT), {"kind": kind, "table": "assets"})
        content = b"".join(answer.streaming_content)
        assert content.startswith(begins)
        if kind != "xlsx":
            assert b"T1-DE" in content
            assert b"T2" not in content
    assert client.get(reverse(EXPORT), {"kind": "csv", "table": "../x"}).status_code == 403
