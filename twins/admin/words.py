"""Figures as a planner reads them: with unit, with interval, and with "more than" where nothing better is known."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timesince import timesince

from twins.models import Assessment


def number(value: float) -> str:
    """Three significant digits, no exponent below a million."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def unit(code: str) -> str:
    """A UCUM code as people write it: '{cycle}' is 'cycle', 'Cel' is '°C', '1' is nothing."""
    return {"Cel": "°C", "1": ""}.get(code, code.strip("{}"))


def amount(value: float, code: str) -> str:
    """A number with its unit."""
    return f"{number(value)} {unit(code)}".rstrip()


def quality(status: int) -> str:
    """An OPC UA status code in a word: 0 good, above uncertain, below bad."""
    return "good" if status == 0 else "uncertain" if status > 0 else "bad"


def percent(share: float) -> str:
    """A share of 0 to 1; a probability that is only nearly certain never reads as certain."""
    if 0 < share < 0.01:
        return "< 1 %"
    if 0.99 < share < 1:
        return "> 99 %"
    return f"{share * 100:.0f} %"


def health_bar(health: float) -> SafeString:
    """A bar that the browser colours: red below 40, amber below 70, green above; the figure says it without colour."""
    return format_html(
        '<span class="twins-health"><meter min="0" max="100" low="40" high="70" optimum="100" value="{}"></meter>'
        " {}</span>",
        f"{health:.1f}",
        f"{health:.0f}",
    )


def remaining_life(assessment: Assessment) -> str:
    """'40 d (28 to 55)': median and the p10 to p90 interval in the life unit; 'more than 365 d' beyond the horizon."""
    if assessment.beyond_horizon:
        bound = assessment.model.horizon if assessment.model else assessment.rul_p50
        return f"more than {amount(bound, assessment.rul_unit)}" if bound is not None else "more than the horizon"
    if assessment.rul_p50 is None:
        return "-"
    middle = amount(assessment.rul_p50, assessment.rul_unit)
    if assessment.rul_p10 is None or assessment.rul_p90 is None:
        return middle
    return f"{middle} ({number(assessment.rul_p10)} to {number(assessment.rul_p90)})"


def failure_probability(assessment: Assessment) -> str:
    """'12 % in 30 d', for the shortest horizon there is."""
    known: list[dict[str, Any]] = assessment.failure_probabilities or []
    if not known:
        return "-"
    nearest = min(known, key=lambda entry: entry["horizon"])
    return f"{percent(nearest['probability'])} in {amount(nearest['horizon'], assessment.rul_unit)}"


def driver(entry: dict[str, Any]) -> str:
    """'VIB -31': an input and the points of health it takes or gives; '-' when that is not half a point."""
    points = f"{entry['points']:+z.0f}"
    return "-" if points == "+0" else f"{entry['input']} {points}"


def age(instant: datetime | None, now: datetime) -> str:
    """How old data is, in words."""
    if instant is None:
        return "no data"
    seconds = (now - instant).total_seconds()
    return f"{max(seconds, 0):.0f} s" if seconds < 60 else timesince(instant, now, depth=1)
