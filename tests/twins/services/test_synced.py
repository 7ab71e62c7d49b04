"""strace as witness: every published file was synced before its rename, and its directory after."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from twins import lake
from twins.models import LakeFile

DAY = datetime(2026, 5, 2, tzinfo=UTC)
_TRACED = "trace=write,pwrite64,writev,fsync,fdatasync,rename,renameat,renameat2"
_CALL = re.compile(r"^(\d+) +(\w+)\((.*)$")


def _strace(*arguments: str) -> list[str]:
    program = shutil.which("strace")
    if program is None:
        pytest.skip("strace is not installed")
    command = [program, "-f", "-y", "-s", "0", "-e", _TRACED, *arguments]
    if subprocess.run([program, "-o", os.devnull, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine does not let strace look")
    return command


@pytest.mark.full
def test_every_published_file_is_synced_before_its_rename_and_its_directory_after(
    sensor_keys, settings: Any, tmp_path: Path
) -> None:
    root, log = settings.TWINS["LAKE"], tmp_path / "calls"
    command = _strace("-o", str(log))
    connection.close()
    rows = [[key, lake.microseconds(DAY) + i * 1_000_000, float(i)] for key in sensor_keys for i in range(100)]
    orders: list[dict[str, Any]] = []
    for number, size in enumerate((10, 1_000_000, 10)):
        orders.append({"run": "accept", "rows": rows[number::3], "key": str(number), "max_body": size})
        orders.append({"run": "compact"})
    day = DAY.date().isoformat()
    orders += [{"run": "merge", "day": day}, {**orders[0], "key": "late", "rows": rows[:1]}, {"run": "compact"}]
    orders.append({"run": "settle", "day": day})
    script = Path(__file__).with_name("killed_worker.py")
    done = subprocess.run(
        [*command, sys.executable, str(script), connection.settings_dict["NAME"], str(root)],
        input="".join(json.dumps({"kill": None, **order}) + "\n" for order in orders),
        capture_output=True, text=True, check=True, env=os.environ,
    )  # fmt: skip
    assert done.stdout.split() == ["0"] * len(orders)

    calls = _calls(log.read_text(), str(root))

    published = [arguments for name, arguments in calls if name == "rename"]
    names = {Path(target).relative_to(root).as_posix() for _, target in published}
    assert names > set(LakeFile.objects.values_list("path", flat=True))
    assert sorted({name.partition("/")[0] for name in names}) == ["landing", "minute", "raw"]
    for place, (name, arguments) in enumerate(calls):
        if name == "rename":
            source, target = arguments
            before = [call for call in calls[:place] if call[1][0] == source]
            assert [call[0] for call in before][-2:] == ["write", "sync"], target
            assert ("sync", (str(Path(target).parent),)) in calls[place:], target


def _calls(text: str, root: str) -> list[tuple[str, tuple[str, ...]]]:
    """(write, sync or rename, paths) below the lake, in order; a call that another thread interrupted counts from its
    end when it syncs, else from its beginning."""
    found, waiting = [], dict[str, tuple[str, tuple[str, ...]]]()
    for line in text.splitlines():
        if resumed := re.match(r"^(\d+) +<\.\.\. (\w+) resumed>", line):
            if call := waiting.pop(resumed[1], None):
                found.append(call)
            continue
        call = _CALL.match(line)
        if call is None:
            continue
        process, name, rest = call.groups()
        kind = "rename" if name.startswith("rename") else "sync" if "sync" in name else "write"
        paths = re.findall(r'"([^"]+)"', rest) if kind == "rename" else re.findall(r"^\d+<([^>]+)>", rest)
        if not paths or not all(path.startswith(root) for path in paths):
            continue
        entry = (kind, tuple(paths))
        if "<unfinished" in rest and kind == "sync":
            waiting[process] = entry
        else:
            found.append(entry)
    return found
