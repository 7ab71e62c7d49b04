"""Which text is a unit: UCUM, the unified code for units of measure, as `ucumvert` reads it.

A plant has few distinct units, so each is parsed once a process; the parser is loaded when the first is asked for.
"""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Any


@lru_cache(maxsize=4096)
def objection_to_unit(unit: str) -> str:
    """Why `unit` is no UCUM code, and what to write; an empty text when it is one."""
    from lark.exceptions import LarkError
    from ucumvert import InvalidUcumError, parse_ucum

    try:
        parse_ucum(unit, _parser())
    except (InvalidUcumError, LarkError):
        return f"{unit!r} is no UCUM code: write for example Cel, mm/s, bar, /min, % or {{cycle}}; 1 when it has none."
    return ""


@cache
def _parser() -> Any:
    from ucumvert import get_ucum_parser

    return get_ucum_parser()
