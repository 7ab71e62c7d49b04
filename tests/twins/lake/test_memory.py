"""Memory that was needed for a moment goes back, whatever lies between."""

from __future__ import annotations

import subprocess
import sys

import pytest

_HELD = """
import psutil, sys
from twins import lake
if sys.argv[1] == "apart":
    lake.keep_large_apart()
before = psutil.Process().memory_info().rss
bytearray(8 << 20)
large, small = [], []
for _ in range(32):
    large.append(bytearray(b"x") * (4 << 20))
    small.append(bytearray(b"x") * 4_000)
del large
print(psutil.Process().memory_info().rss - before >> 20)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc")
def test_large_arrays_go_back_when_they_are_free() -> None:
    held = [
        int(subprocess.run([sys.executable, "-c", _HELD, how], capture_output=True, text=True, check=True).stdout)
        for how in ("apart", "as ever")
    ]

    assert held[0] < 8 < 100 < held[1]
