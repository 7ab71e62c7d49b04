"""Imports: what becomes of each row, by whatever file, and that nothing changes when it must not."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from assets.history import changes_of
from assets.importing import (
    TABLES,
    Action,
    ImportResult,
    Planned,
    export_csv,
    export_json,
    export_xlsx,
    import_file,
    tables_named,
)
from assets.models import Asset, ExternalReference, Grant, Installation, Item, Role

Rows = Iterable[Iterable[Any]]


@pytest.fixture
def sheet(tmp_path: Path) -> Callable[..., Path]:
    """A CSV file of these rows, the headers first."""

    def write(table: str, *rows: Iterable[Any], delimiter: str = ",", encoding: str = "utf-8") -> Path:
        path = tmp_path / f"{table}.csv"
        with path.open("w", newline="", encoding=encoding) as file:
            csv.writer(file, delimiter=delimiter).writerows(rows)
        return path

    return write


def _run(path: Path, **options: Any) -> tuple[ImportResult, list[Planned]]:
    rows: list[Planned] = []
    return import_file(path=path, source="SAP", report=rows.append, **options), rows


PLANT = [
    ["tag", "name", "level", "parent", "site", "criticality", "external_key"],
    ["P-1-B", "Lagergehäuse", "part", "P-1", "", "2", "4713"],
    ["S", "Site", "system", "", "", "5", "4711"],
    ["P-1", "Kühlwasserpumpe", "product", "S", "", "", "4712"],
]


def test_assets_are_created_whatever_the_order_of_their_rows(db: None, sheet: Callable[..., Path]) -> None:
    result, rows = _run(sheet("assets", *PLANT))
    assert result.written
    assert [(row.row, row.action) for row in sorted(rows, key=lambda row: row.row)] == [
        (2, Action.CREATE), (3, Action.CREATE), (4, Action.CREATE),
    ]  # fmt: skip
    bearing = Asset.objects.get(tag="P-1-B")
    assert [Asset.objects.get(pk=pk).tag for pk in bearing.path] == ["S", "P-1", "P-1-B"]
    assert (bearing.name, bearing.criticality, Asset.objects.get(tag="P-1").criticality) == ("Lagergehäuse", 2, 3)
    assert ExternalReference.objects.get(system="SAP", key="4713").asset_id == bearing.pk


def test_the_same_file_again_changes_nothing(db: None, sheet: Callable[..., Path]) -> None:
    path = sheet("assets", *PLANT)
    _run(path)
    result, rows = _run(path)
    assert [row.action for row in rows] == [Action.UNCHANGED] * 3
    assert result.counts["assets"] == {"unchanged": 3}


def test_a_row_known_by_its_external_key_may_change_its_tag_and_place(db: None, sheet: Callable[..., Path]) -> None:
    _run(sheet("assets", *PLANT))
    _, rows = _run(sheet("assets", ["external_key", "tag", "parent", "name"], ["4713", "B-9", "S", "Lager"]))
    assert rows[0].changes == {
        "tag": ("P-1-B", "B-9"),
        "name": ("Lagergehäuse", "Lager"),
        "parent": ("P-1 Kühlwasserpumpe", "S Site"),
    }
    moved = Asset.objects.get(tag="B-9")
    assert (moved.parent.tag, moved.name, len(moved.path)) == ("S", "Lager", 2)  # type: ignore[union-attr]


def test_a_dry_run_says_what_would_happen_and_changes_nothing(
    plant: dict[str, Asset], register: Callable[[], object], sheet: Callable[..., Path]
) -> None:
    before = register()
    result, rows = _run(
        sheet("assets", ["tag", "site", "name"], ["T1-PU", "P", "Feed pump"], ["T1-DE", "P", "Drive-end bearing"]),
        dry_run=True,
    )
    assert [(row.action, row.changes) for row in rows] == [
        (Action.CHANGE, {"name": ("Pump", "Feed pump")}),
        (Action.UNCHANGED, {}),
    ]
    assert not result.written
    assert register() == before


def test_three_bad_rows_among_ten_thousand_are_named_and_keep_all_out(
    plant: dict[str, Asset], register: Callable[[], object], sheet: Callable[..., Path]
) -> None:
    rows = [[f"N-{number}", "Valve", "part", "T1-PU", "P", "3"] for number in range(10_000)]
    rows[17][5] = "six"
    rows[4_000][2] = "system"
    rows[9_999][3] = "NOWHERE"
    path = sheet("assets", ["tag", "name", "level", "parent", "site", "criticality"], *rows)
    before = register()
    for dry_run in (True, False):
        result, _ = _run(path, dry_run=dry_run)
        assert [(bad.row, bad.column) for bad in result.refused] == [
            (19, "criticality"), (4_002, "level"), (10_001, "parent"),
        ]  # fmt: skip
        assert "'six' is not a number" in result.refused[0].reason
        assert not result.written
        assert register() == before
    result, _ = _run(path, skip_bad=True)
    assert (result.written, Asset.objects.filter(tag__startswith="N-").count()) == (True, 9_997)


def test_what_only_the_database_refuses_is_found_row_by_row(
    plant: dict[str, Asset], items: list[Item], sheet: Callable[..., Path]
) -> None:
    rows = [
        ["site", "asset", "serial_number", "installed_at", "removed_at"],
        ["P", "T1-DE", "S0", "2026-01-01T00:00Z", ""],
        ["P", "T2-DE", "S0", "2026-02-01T00:00Z", ""],
        ["P", "T2-DE", "S1", "2026-01-01T00:00Z", "2026-01-05T00:00Z"],
    ]
    result, _ = _run(sheet("installations", *rows), skip_bad=True)
    assert [bad.row for bad in result.refused] == [3]
    assert "S0" in result.refused[0].reason
    assert Installation.objects.count() == 2


def test_every_table_comes_back_as_it_went(demo_register: None, tmp_path: Path) -> None:
    for suffix, write in (("json", export_json), ("xlsx", export_xlsx)):
        path = tmp_path / f"register.{suffix}"
        with path.open("wb") as file:
            count = write(tables_named([]), file, source="SAP")
        result, rows = _run(path)
        assert [row for row in rows if row.action is not Action.UNCHANGED] == []
        assert result.count(Action.UNCHANGED) == count
    for table in TABLES.values():
        path = tmp_path / f"{table.name}.csv"
        with path.open("w", newline="") as file:
            export_csv(table, file, source="SAP")
        assert {row.action for row in _run(path)[1]} <= {Action.UNCHANGED}, table.name


@pytest.fixture
def demo_register(db: None) -> None:
    """A register that uses every table."""
    from config.demo.register import register_plant
    from config.demo.simulation import Simulation

    register_plant(simulation=Simulation(3), origin=datetime(2026, 1, 1, tzinfo=UTC))


def test_an_integrator_imports_into_its_subtree_alone(
    plant: dict[str, Asset], django_user_model: Any, register: Callable[[], object], sheet: Callable[..., Path]
) -> None:
    user = django_user_model.objects.create_user("erp")
    Grant.objects.create(user=user, role=Role.INTEGRATOR, asset=plant["T1"])
    rows = [
        ["tag", "site", "parent", "name", "level"],
        ["N1", "P", "T1-PU", "New", "part"],
        ["N2", "P", "T2-PU", "New", "part"],
    ]
    result, _ = _run(sheet("assets", *rows), actor=user, skip_bad=True)
    assert [(bad.row, bad.column) for bad in result.refused] == [(3, "parent")]
    assert Asset.objects.get(tag="N1").parent == plant["T1-PU"]
    before = register()
    foreign = sheet("assets", ["tag", "site", "name"], ["T2-PU", "P", "Mine now"])
    assert not _run(foreign, actor=user)[0].written
    assert register() == before


def test_history_names_the_file_and_the_system(db: None, sheet: Callable[..., Path]) -> None:
    _run(sheet("assets", *PLANT))
    site = Asset.objects.get(tag="S").pk
    [created] = changes_of(Asset, [site])[site]
    assert (created.kind, created.change.source, created.change.reason) == ("created", "import", "assets.csv of SAP")
