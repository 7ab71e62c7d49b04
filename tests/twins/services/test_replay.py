"""The past is replayed by models that knew only what had happened before."""

from __future__ import annotations

from datetime import timedelta

from django.core.management import call_command

from assets.models import MaintenanceEvent
from twins.models import HealthModel
from twins.selectors.labels import labels_of
from twins.services.replay import replay


def test_failures_are_caught_by_models_of_what_came_before(seals) -> None:
    """Eight seals fail between day 45 and 65; the replay begins when five have."""
    ends = sorted(
        label.segment.end
        for label in labels_of([seals.design], now=seals.now)[seals.design.pk].lives
        if label.outcome == "failed"
    )
    start = ends[4] + timedelta(hours=1)
    later = [end for end in ends if end > start]
    # Five failures are few: what they taught is sure of little, so that less than a half is a warning here.
    (one,) = replay(start=start, end=seals.now, retrained=timedelta(days=7), threshold=0.1)
    assert one.failures == len(later)
    assert one.learned == -(-(seals.now - start) // timedelta(days=7))
    assert one.record.right >= 1
    assert one.record.median_lead is not None
    assert 0 < one.record.median_lead < 15
    assert len(one.leads) == one.failures - one.record.missed
    assert not HealthModel.objects.exists()


def test_before_enough_has_failed_nothing_is_said_and_everything_is_missed(seals) -> None:
    (one,) = replay(start=seals.now - timedelta(days=99), end=seals.now, retrained=timedelta(days=200))
    assert (one.learned, one.failures, one.record.missed, one.record.judged) == (0, 8, 8, 0)


def test_what_happens_after_the_period_changes_nothing(seals) -> None:
    first = MaintenanceEvent.objects.filter(kind="failure").order_by("started_at")[5].started_at
    period = {"start": first - timedelta(days=3), "end": first, "retrained": timedelta(days=2)}
    (before,) = replay(**period)
    MaintenanceEvent.objects.filter(started_at__gt=first).delete()
    (after,) = replay(**period)
    assert (before.record, before.leads) == (after.record, after.leads)


def test_the_command_says_it_in_a_line(seals, capsys) -> None:
    call_command("replay", "SEAL", days=30, retrain=10)
    out = capsys.readouterr().out
    assert "Seal rev. A: 0 of 0 failures were warned of" in out
