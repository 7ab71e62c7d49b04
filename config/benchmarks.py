"""What a benchmark is: a module tests/benchmarks/NAME.py that measures, and figures that state their goal.

The module has a docstring, `run(options: argparse.Namespace) -> Iterable[Figure]` and, when it takes options,
`add_arguments(parser: argparse.ArgumentParser) -> None`. It runs with Django set up on a migrated, empty database and
a lake of its own. Figures are printed as they come, so a generator shows its progress.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One measured number; its line is `NAME VALUE UNIT goal OP LIMIT`."""

    name: str
    value: float | None
    """None when what it compares with is not installed: the line says `absent`."""
    unit: str
    goal: tuple[Literal["<=", "<", ">=", ">", "=", "within"], float | tuple[float, float]] | None = None
    """Comparison and limit, or `within` and both limits; None where there is no goal."""
    digits: int = 2
    """Decimal places that the measurement deserves."""

    def __str__(self) -> str:
        value = "absent" if self.value is None else f"{self.value:.{self.digits}f}"
        return f"{self.name} {value} {self.unit} goal {self._limits()}"

    def _limits(self) -> str:
        if self.goal is None:
            return "none"
        comparison, limit = self.goal
        return f"{comparison} {limit[0]}..{limit[1]}" if isinstance(limit, tuple) else f"{comparison} {limit}"
