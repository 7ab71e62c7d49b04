"""NASA's C-MAPSS files as published: reading them whole before anything is written, and what they mean in the register.

A file has 26 columns separated by spaces: unit, cycle, 3 settings, 21 sensors; a row is one flight of one engine
(Saxena, Goebel, Simon, Eklund: Damage propagation modeling for aircraft engine run-to-failure simulation, PHM 2008).
This is the only place that knows the data set.
"""

from __future__ import annotations

import gzip
import re
import zlib
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

SETTINGS = (("altitude", "altitude", "[ft_i]"), ("mach", "Mach number", "1"), ("TRA", "throttle resolver angle", "%"))
"""Name, quantity and unit of the setting columns."""

SENSORS = (
    ("Fan", "T2", "total temperature at fan inlet", "[degR]"),
    ("LPC", "T24", "total temperature at LPC outlet", "[degR]"),
    ("HPC", "T30", "total temperature at HPC outlet", "[degR]"),
    ("LPT", "T50", "total temperature at LPT outlet", "[degR]"),
    ("Fan", "P2", "pressure at fan inlet", "[psi]"),
    ("Fan", "P15", "total pressure in bypass duct", "[psi]"),
    ("HPC", "P30", "total pressure at HPC outlet", "[psi]"),
    ("Fan", "Nf", "physical fan speed", "{rpm}"),
    ("HPC", "Nc", "physical core speed", "{rpm}"),
    ("LPT", "epr", "engine pressure ratio", "1"),
    ("HPC", "Ps30", "static pressure at HPC outlet", "[psi]"),
    ("combustor", "phi", "ratio of fuel flow to Ps30", "1"),
    ("Fan", "NRf", "corrected fan speed", "{rpm}"),
    ("HPC", "NRc", "corrected core speed", "{rpm}"),
    ("Fan", "BPR", "bypass ratio", "1"),
    ("combustor", "farB", "burner fuel-air ratio", "1"),
    ("HPC", "htBleed", "bleed enthalpy", "1"),
    ("Fan", "Nf_dmd", "demanded fan speed", "{rpm}"),
    ("Fan", "PCNfR_dmd", "demanded corrected fan speed", "{rpm}"),
    ("HPT", "W31", "HPT coolant bleed", "[lb_av]/s"),
    ("LPT", "W32", "LPT coolant bleed", "[lb_av]/s"),
)
"""Part, name, quantity and unit of the sensor columns."""

PARTS = ("Fan", "LPC", "HPC", "combustor", "HPT", "LPT")
COUNTER, CYCLE = "cycles", "{cycle}"
COLUMNS = 2 + len(SETTINGS) + len(SENSORS)
_NAME = re.compile(r"^(train|test|RUL)_(\w+?)\.txt(\.gz)?$")


class CmapssError(Exception):
    """A file that cannot be read whole; the message names file and line."""


@dataclass(frozen=True)
class Engine:
    """All flights of one engine, in order."""

    number: int
    rows: Floats
    """[cycles, 26] as in the file."""


@dataclass(frozen=True)
class Fleet:
    """One data set: engines that ran to failure, engines that still run, and what the latter had left if told."""

    name: str
    failed: tuple[Engine, ...]
    running: tuple[Engine, ...]
    left: tuple[float, ...] | None


def read_fleets(folder: Path) -> list[Fleet]:
    """All data sets of a folder, each file read and checked to its last line; raises CmapssError."""
    found: dict[str, dict[str, Path]] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if match := _NAME.match(path.name):
            found.setdefault(match[2], {}).setdefault(match[1], path)
    if not found:
        raise CmapssError(
            f"{folder} holds no C-MAPSS files: name the folder with train_FD001.txt or train_FD001.txt.gz."
        )
    return [_read_fleet(folder, name, files) for name, files in sorted(found.items())]


def _read_fleet(folder: Path, name: str, files: dict[str, Path]) -> Fleet:
    if missing := [kind for kind in ("train", "test") if kind not in files]:
        raise CmapssError(f"{folder} holds no {missing[0]}_{name}.txt: a data set needs both train and test file.")
    running = read_engines(files["test"])
    left = None
    if "RUL" in files:
        left = read_left(files["RUL"])
        if len(left) != len(running):
            raise CmapssError(
                f"{files['RUL']} has {len(left)} lines for the {len(running)} engines of {files['test'].name}: "
                "one of them is cut off; fetch them again."
            )
    failed = read_engines(files["train"])
    # The published pairs differ by one engine at most; a file that ends between two lines shows in nothing else.
    if len(failed) + 1 < len(running):
        last = sum(len(engine.rows) for engine in failed)
        raise CmapssError(
            f"{files['train']}, line {last}: the file ends with engine {len(failed)}, but {files['test'].name} has "
            f"{len(running)} engines: it is cut off; fetch it again."
        )
    return Fleet(name, failed, running, left)


def read_engines(path: Path) -> tuple[Engine, ...]:
    """The engines of a file: 26 finite numbers a line, engines 1, 2, ... and their cycles 1, 2, ... without a gap."""
    lines = _lines(path)
    rows = np.array([_numbers(path, number, line, COLUMNS) for number, line in enumerate(lines, 1)])
    _check_order(path, rows[:, 0], rows[:, 1])
    starts = [*np.flatnonzero(np.diff(rows[:, 0], prepend=0.0)).tolist(), len(rows)]
    return tuple(Engine(int(rows[a, 0]), rows[a:b]) for a, b in pairwise(starts))


def read_left(path: Path) -> tuple[float, ...]:
    """Remaining cycles, one engine a line."""
    return tuple(_numbers(path, number, line, 1)[0] for number, line in enumerate(_lines(path), 1))


def _check_order(path: Path, engine: Floats, cycle: Floats) -> None:
    same = np.diff(engine, prepend=0.0) == 0
    wanted = np.where(same, np.append(0.0, cycle[:-1]) + 1, 1.0)
    begins = np.append(0.0, engine[:-1]) + 1
    wrong = np.flatnonzero((cycle != wanted) | (~same & (engine != begins)))
    if len(wrong):
        row = int(wrong[0])
        raise CmapssError(
            f"{path}, line {row + 1}: engine {engine[row]:g}, cycle {cycle[row]:g} does not follow the line before: "
            "lines are missing or out of order; fetch the file again."
        )


def _lines(path: Path) -> list[str]:
    """The lines of a file, which must be whole: text, not empty, the last line ended."""
    try:
        content = path.read_bytes()
        text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode("ascii")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise CmapssError(f"{path} cannot be read ({error}): it is damaged or cut off; fetch it again.") from error
    lines = text.splitlines()
    if not lines:
        raise CmapssError(f"{path}, line 1: the file is empty; fetch it again.")
    if not text.endswith(("\n", "\r")):
        raise CmapssError(f"{path}, line {len(lines)}: the line is not ended, so the file is cut off; fetch it again.")
    return lines


def _numbers(path: Path, number: int, line: str, count: int) -> list[float]:
    words = line.split()
    if len(words) != count:
        raise CmapssError(f"{path}, line {number}: {len(words)} columns instead of {count}; fetch the file again.")
    try:
        values = [float(word) for word in words]
    except ValueError as error:
        raise CmapssError(f"{path}, line {number}: {error}; fetch the file again.") from error
    if not all(np.isfinite(values)):
        raise CmapssError(f"{path}, line {number}: a value is not finite; fetch the file again.")
    return values
