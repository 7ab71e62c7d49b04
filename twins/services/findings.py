"""Findings of a sensor that was watched again: from a corrected reading on, what is found anew takes their place.

Before it stands what was found at the time, because the beginning of a past that is read again teaches, and finds less.
What is found as before keeps its row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from django.db.models import Q

from twins.lake import from_microseconds
from twins.ml import anomaly as detector
from twins.models import Finding, FindingKind

KINDS = {
    detector.Kind.NOVELTY: FindingKind.NOVELTY,
    detector.Kind.FLAT_LINE: FindingKind.FLAT_LINE,
    detector.Kind.GAP: FindingKind.GAP,
    detector.Kind.LIMIT: FindingKind.LIMIT,
}


class _Span(NamedTuple):
    """What was found, from its beginning to its end; novelty has none."""

    kind: FindingKind
    start: datetime
    end: datetime | None
    value: float
    score: float


def replace_findings(*, sensor: int, asset: int, found: Sequence[detector.Finding], since: datetime) -> None:
    """Let what is `found` in the order it was told stand for what was found at the sensor `since` an instant."""
    rows = Finding.objects.filter(sensor=sensor).exclude(kind=FindingKind.PATTERN)
    standing = {(row.kind, row.started_at): row for row in rows.filter(Q(started_at__gte=since) | _open_at(since))}
    for span in _spans(found):
        if span.start < since:
            if span.kind == FindingKind.NOVELTY or (span.end is not None and span.end < since):
                continue
            # It may have been found at another time when its beginning was read with all of its past.
            known = next((key for key in standing if key[0] == span.kind and key[1] < since), None)
        else:
            known = (span.kind, span.start) if (span.kind, span.start) in standing else None
        told = {"ended_at": span.end, "value": span.value, "score": span.score}
        if known is None:
            Finding.objects.update_or_create(
                sensor_id=sensor, kind=span.kind, started_at=span.start, defaults={"asset_id": asset, **told}
            )
        else:
            rows.filter(pk=standing.pop(known).pk).update(**told)
    for row in standing.values():
        if row.started_at < since:
            rows.filter(pk=row.pk).update(ended_at=since)
        else:
            row.delete()


def _open_at(instant: datetime) -> Q:
    lasting = ~Q(kind=FindingKind.NOVELTY)
    return lasting & Q(started_at__lt=instant) & (Q(ended_at__isnull=True) | Q(ended_at__gte=instant))


def _spans(found: Sequence[detector.Finding]) -> Iterator[_Span]:
    """Each beginning with the end that follows it."""
    for index, one in enumerate(found):
        if one.begins:
            later = (other for other in found[index + 1 :] if other.kind == one.kind)
            end = next((from_microseconds(other.time) for other in later if not other.begins), None)
            yield _Span(KINDS[one.kind], from_microseconds(one.time), end, one.value, one.score)
