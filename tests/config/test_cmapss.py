"""C-MAPSS files: read whole or refused with file and line; loaded once."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from assets.models import Asset, Installation, MaintenanceEvent, Sensor
from config.cmapss import CmapssError, read_fleets
from twins.models import Batch
from twins.selectors.health import inputs_of, units_of
from twins.selectors.readings import scan_readings

HOUR = timedelta(hours=1)
BEGIN = datetime(2000, 1, 1, tzinfo=UTC)


def _text(cycles: list[int], seed: int) -> str:
    rng = np.random.default_rng(seed)
    lines = []
    for engine, last in enumerate(cycles, 1):
        for cycle in range(1, last + 1):
            values = " ".join(f"{value:.4f}" for value in rng.normal(100, 1, 24))
            lines.append(f"{engine} {cycle} {values}  \n")
    return "".join(lines)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "files"
    path.mkdir()
    (path / "train_FD009.txt").write_text(_text([5, 3], 1))
    (path / "test_FD009.txt.gz").write_bytes(gzip.compress(_text([4], 2).encode()))
    (path / "RUL_FD009.txt").write_text("112 \n")
    return path


def test_files_are_read_as_published(folder: Path) -> None:
    (fleet,) = read_fleets(folder)
    assert fleet.name == "FD009"
    assert [(engine.number, engine.rows.shape) for engine in fleet.failed] == [(1, (5, 26)), (2, (3, 26))]
    assert [(engine.number, engine.rows.shape) for engine in fleet.running] == [(1, (4, 26))]
    assert fleet.left == (112.0,)
    assert fleet.failed[0].rows[:, 1].tolist() == [1, 2, 3, 4, 5]


def test_a_file_cut_off_between_two_lines_is_refused(folder: Path) -> None:
    (folder / "test_FD009.txt.gz").write_bytes(gzip.compress(_text([4, 2, 2, 3], 2).encode()))
    (folder / "RUL_FD009.txt").write_text("112\n" * 4)
    with pytest.raises(CmapssError) as refusal:
        read_fleets(folder)
    assert str(refusal.value).startswith(
        f"{folder / 'train_FD009.txt'}, line 8: the file ends with engine 2, but test_FD009.txt.gz has 4 engines"
    )


def _set_line(path: Path, number: int, line: str) -> None:
    lines = path.read_text().splitlines(keepends=True)
    lines[number - 1] = line
    path.write_text("".join(lines))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("1 3 0.1\n", "line 3: 3 columns instead of 26"),
        ("1 3 " + "0 " * 23 + "x\n", "line 3: could not convert string to float: 'x'"),
        ("1 3 " + "0 " * 23 + "nan\n", "line 3: a value is not finite"),
        ("1 4 " + "0 " * 24 + "\n", "line 3: engine 1, cycle 4 does not follow"),
        ("3 1 " + "0 " * 24 + "\n", "line 3: engine 3, cycle 1 does not follow"),
        ("\n", "line 3: 0 columns instead of 26"),
    ],
)
@pytest.mark.django_db
def test_a_bad_line_is_named_and_nothing_is_loaded(folder: Path, line: str, words: str) -> None:
    _set_line(folder / "train_FD009.txt", 3, line)
    with pytest.raises(CommandError) as refusal:
        call_command("load_cmapss", folder)
    assert str(refusal.value).startswith(f"{folder / 'train_FD009.txt'}, {words}")
    assert (Asset.objects.count(), Batch.objects.count()) == (0, 0)


def test_half_a_file_is_refused(folder: Path) -> None:
    whole = (folder / "train_FD009.txt").read_text()
    (folder / "train_FD009.txt").write_text(whole[: len(whole) // 2])
    with pytest.raises(CmapssError, match=r"train_FD009\.txt, line 4: the line is not ended"):
        read_fleets(folder)


def test_half_a_compressed_file_is_refused(folder: Path) -> None:
    path = folder / "test_FD009.txt.gz"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(CmapssError, match=r"test_FD009\.txt\.gz cannot be read .*: it is damaged or cut off"):
        read_fleets(folder)


def test_an_empty_or_incomplete_set_is_refused(folder: Path, tmp_path: Path) -> None:
    (folder / "RUL_FD009.txt").write_text("112\n5\n")
    with pytest.raises(CmapssError, match="has 2 lines for the 1 engines"):
        read_fleets(folder)
    (folder / "test_FD009.txt.gz").unlink()
    with pytest.raises(CmapssError, match=r"holds no test_FD009\.txt"):
        read_fleets(folder)
    with pytest.raises(CmapssError, match="holds no C-MAPSS files"):
        read_fleets(tmp_path / "nowhere")
    (folder / "train_FD009.txt").write_text("")
    (folder / "test_FD009.txt").write_text("")
    with pytest.raises(CmapssError, match="line 1: the file is empty"):
        read_fleets(folder)


@pytest.mark.django_db(transaction=True)
def test_engines_become_assets_with_their_readings_and_failures(folder: Path) -> None:
    call_command("load_cmapss", folder)
    assert Asset.objects.count() == 1 + 3 + 3 * 6
    assert Sensor.objects.count() == 3 * 25
    failed = Asset.objects.get(tag="FD009-F001")
    assert [part.name for part in failed.children.order_by("id")] == ["Fan", "LPC", "HPC", "combustor", "HPT", "LPT"]
    event = MaintenanceEvent.objects.get(asset=failed)
    assert (event.kind, event.started_at) == ("failure", BEGIN + 5 * HOUR)
    place = Installation.objects.get(asset=failed)
    assert (place.period.lower, place.period.upper) == (BEGIN + HOUR, BEGIN + 6 * HOUR)
    running = Asset.objects.get(tag="FD009-R001")
    (unit,) = units_of([failed.pk, running.pk], now=BEGIN + 10 * HOUR)
    assert unit.asset == running.pk
    names = {known.input.name: known.input.sensor for known in inputs_of([running.pk])[running.pk]}
    assert unit.life.usage == names["cycles"]
    assert len(names) == 25

    (fleet,) = read_fleets(folder)
    for name, column in (("altitude", 2), ("HPC/T30", 7), ("LPT/W32", 25), ("cycles", 1)):
        table = scan_readings(sensors=[names[name]])
        assert table["value"].to_pylist() == fleet.running[0].rows[:, column].tolist()
        assert table["time"].to_pylist() == [BEGIN + cycle * HOUR for cycle in range(1, 5)]


@pytest.mark.django_db(transaction=True)
def test_a_second_load_changes_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("load_cmapss", folder)
    before = (_counts(), list(Asset.objects.values_list()), list(Batch.objects.values_list("id", "rows")))
    call_command("load_cmapss", folder)
    assert "FD009 is loaded already; nothing was changed." in capsys.readouterr().out
    assert (_counts(), list(Asset.objects.values_list()), list(Batch.objects.values_list("id", "rows"))) == before


@pytest.mark.django_db(transaction=True)
def test_an_interrupted_load_is_completed(folder: Path) -> None:
    call_command("load_cmapss", folder)
    root = Asset.objects.get(tag="FD009")
    del root.attributes["loaded_sha256"]
    root.save()
    before = _counts()
    call_command("load_cmapss", folder)
    assert _counts() == before
    assert "loaded_sha256" in Asset.objects.get(tag="FD009").attributes


@pytest.mark.django_db(transaction=True)
def test_other_content_of_the_same_name_is_refused(folder: Path) -> None:
    call_command("load_cmapss", folder)
    before = _counts()
    (folder / "train_FD009.txt").write_text(_text([6, 2], 7))
    with pytest.raises(CommandError, match="not loaded from these files"):
        call_command("load_cmapss", folder)
    assert _counts() == before


def _counts() -> list[int]:
    return [model.objects.count() for model in (Asset, Sensor, Installation, MaintenanceEvent, Batch)]
