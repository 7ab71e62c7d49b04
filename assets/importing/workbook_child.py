"""Turns a workbook into lines of JSON; run as a program, so that its limits are its own.

The first line lists the sheets and how many rows each has; then each row is one line, sheet after sheet. Nothing but
the standard library and what reads the workbook is imported, so that it starts at once.
"""

from __future__ import annotations

import datetime
import resource
import sys
from typing import Any

TOO_LARGE = 3
"""Exit status for a workbook that wanted more memory or time than it may have."""
_MEMORY = 2 * 1024**3  # bytes of address space
_TIME = 120  # seconds on the processor


def main(path: str) -> int:
    """Write the sheets of the workbook to standard output; returns the exit status."""
    import orjson
    from python_calamine import CalamineWorkbook

    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (_TIME, _TIME))
    try:
        workbook = CalamineWorkbook.from_path(path)
        sheets = [(name, workbook.get_sheet_by_name(name)) for name in workbook.sheet_names]
        # Rows are counted from the first of the sheet, as a person sees them.
        found = [(name, sheet.to_python(skip_empty_area=False)) for name, sheet in sheets]
        out = sys.stdout.buffer
        out.write(orjson.dumps([(name, len(rows)) for name, rows in found]) + b"\n")
        for _, rows in found:
            for row in rows:
                out.write(orjson.dumps([_said(cell) for cell in row]) + b"\n")
    except MemoryError:
        return TOO_LARGE
    except Exception as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return 1
    return 0


def _said(cell: Any) -> Any:
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 2**53:
        return int(cell)  # a workbook has only one kind of number
    if isinstance(cell, datetime.timedelta):
        return str(cell)
    return cell


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
