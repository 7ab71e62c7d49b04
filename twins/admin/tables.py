"""The evidence of one assessment as small tables."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from assets.admin.periods import installed, removed
from assets.admin.tables import table
from assets.models import Asset, Installation
from assets.selectors import installation_history, latest_events
from twins.admin import words
from twins.models import Assessment, AssessmentSource, Finding
from twins.selectors.health import inputs_of
from twins.selectors.ledger import standing_warnings, track_records
from twins.selectors.readings import latest_readings

_MOST_INPUTS = 200
_MOST_CHILDREN = 50


def evidence(row: Assessment, now: datetime) -> dict[str, SafeString | str]:
    """Everything a page shows behind one assessment, by the name of the table; a constant number of statements."""
    stays = installation_history([row.asset_id])[row.asset_id]
    return {
        "drivers": _drivers(row),
        "horizons": _horizons(row),
        "constituents": _constituents(row),
        "inputs": _inputs(row, now),
        "events": _events(row),
        "installations": _installations(stays),
        "voices": _voices(row),
        "record": _record(row, stays),
        "findings": _findings(row),
    }


def _voices(row: Assessment) -> SafeString | str:
    """What a blend is made of, and why each weighs what it weighs."""
    cells = [
        [one["source"], words.percent(one["weight"]), words.health_bar(one["health"]), one["reason"]]
        for one in row.sources
    ]
    return table(["source", "weight", "health", "why"], cells)


def _record(row: Assessment, stays: Sequence[Installation]) -> str:
    """The warning that stands, and how often such warnings were right here."""
    standing = standing_warnings([row.asset_id]).get(row.asset_id)
    # What is installed now came last.
    designs = [one.item.design_id for one in stays[:1] if one.period.upper is None]
    tracks = [each for (_, site), each in track_records(designs).items() if site == row.asset.root_id]
    told = tracks[0].warnings.sentence() if tracks else "Nothing of its design was ever judged at this site."
    if standing is None:
        return f"No warning stands. {told}"
    within = words.amount(standing.horizon_days, "d")
    peak = words.percent(standing.peak)
    return f"Warned since {standing.raised_at:%Y-%m-%d %H:%M}: up to {peak} within {within}. {told}"


def _findings(row: Assessment) -> SafeString | str:
    """What was unusual at its sensors and below, the newest first."""
    found = Finding.objects.filter(asset__path__contains=[row.asset_id]).select_related("sensor", "asset")
    cells = [
        [
            f"{one.started_at:%Y-%m-%d %H:%M}",
            "-" if one.ended_at is None else f"{one.ended_at:%Y-%m-%d %H:%M}",
            one.get_kind_display(),
            one.sensor or one.asset,
            words.number(one.value),
        ]
        for one in found.order_by("-started_at", "-id")[:_MOST_CHILDREN]
    ]
    return table(["from", "to", "what", "where", "value"], cells)


def _drivers(row: Assessment) -> SafeString | str:
    """Every input that moves the score, the worst first."""
    cells = [[entry["input"], f"{entry['points']:+z.1f}"] for entry in row.drivers]
    return table(["input", "points of health"], cells)


def _horizons(row: Assessment) -> SafeString | str:
    """The failure probability for each horizon, the nearest first."""
    known = sorted(row.failure_probabilities, key=lambda entry: entry["horizon"])
    cells = [[words.amount(one["horizon"], row.rul_unit), words.percent(one["probability"])] for one in known]
    return table(["within", "probability of failure"], cells)


def _inputs(row: Assessment, now: datetime) -> SafeString | str:
    """The newest reading of each sensor that feeds the score; a roll-up has none of its own."""
    if row.source == AssessmentSource.ROLLUP:
        return "Taken from the worst of what it consists of."
    # Named as the drivers name them, so that a planner finds one in the other.
    known = inputs_of([row.asset_id])[row.asset_id][:_MOST_INPUTS]
    newest = latest_readings(one.input.sensor for one in known)
    cells = []
    for one in known:
        reading = newest.get(one.input.sensor)
        value = words.amount(reading.value, one.unit) if reading else "no reading"
        quality = words.quality(reading.quality) if reading else "-"
        cells.append(
            [one.input.name, one.input.role, value, quality, words.age(reading.time if reading else None, now)]
        )
    return table(["input", "role", "latest", "quality", "age"], cells)


def _constituents(row: Assessment) -> SafeString | str:
    """The assessed assets directly below, the worst first: the way down to the part that is to blame."""
    below = Assessment.objects.filter(asset__parent=row.asset_id).select_related("asset", "model")
    cells = [
        [link(one.asset), words.health_bar(one.health), words.remaining_life(one), words.percent(one.coverage)]
        for one in below.defer("model__artefact").order_by("health", "asset")[:_MOST_CHILDREN]
    ]
    return table(["asset", "health", "remaining life", "coverage"], cells)


def link(asset: Asset) -> SafeString:
    """A link to the health page of an asset."""
    address = reverse("admin:twins_assessment_change", args=[asset.pk])
    return format_html('<a class="twins-link" href="{}">{}</a>', address, asset)


def _events(row: Assessment) -> SafeString | str:
    """What happened at the asset, the newest first."""
    cells = [
        [
            f"{event.started_at:%Y-%m-%d %H:%M}",
            event.get_kind_display(),
            event.mode or "-",
            event.item or "-",
            event.note,
        ]
        for event in latest_events([row.asset_id])[row.asset_id]
    ]
    return table(["when", "what", "mode", "item", "note"], cells)


def _installations(stays: Sequence[Installation]) -> SafeString | str:
    """What was installed there, the newest first."""
    cells = [[one.item, one.item.design, installed(one), removed(one), one.removal_reason or "-"] for one in stays]
    return table(["item", "design", "installed", "removed", "why"], cells)
