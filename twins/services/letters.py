"""Dead letters: refused rows, kept so that somebody can see why and send them again once the reason is gone.

Only the newest MOST are kept: a source that sends nonsense for ever must not fill a disk.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db import connection

from twins.lake import Reject
from twins.models import DeadLetter, LetterForm

MOST = 100_000
"""Letters in the table."""
_LONGEST = 4_000


@dataclass(frozen=True, slots=True)
class Origin:
    """Where rows came from, and what it takes to read them again."""

    source: str
    bucket: str = ""
    form: LetterForm = LetterForm.JSON
    precision: str = ""


def keep_letters(*, rejects: Iterable[Reject], origin: Origin, batch: int | None) -> None:
    """Write rejects as letters, in the surrounding transaction if there is one, and let go of the oldest."""
    letters = DeadLetter.objects.bulk_create(
        DeadLetter(
            source=origin.source,
            bucket=origin.bucket,
            form=origin.form,
            precision=origin.precision,
            position=reject.index,
            reason=_kept(reject.reason, 500),
            content=_kept(reject.content, _LONGEST),
            batch=batch,
        )
        for reject in rejects
    )
    if letters:
        # Ids have gaps, so this keeps MOST at most.
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM twins_deadletter WHERE id <= %s", [max(one.pk for one in letters) - MOST])


def letters_of(*, batch: int) -> list[Reject]:
    """The rejects that were refused beside a batch, as far as they are still kept."""
    rows = DeadLetter.objects.filter(batch=batch).order_by("position", "id").values_list("position", "reason")
    return [Reject(position, reason) for position, reason in rows]


def by_origin(letters: Iterable[DeadLetter]) -> dict[Origin, list[DeadLetter]]:
    """Letters that can be sent again in one body, the oldest first."""
    groups: dict[Origin, list[DeadLetter]] = {}
    for letter in sorted(letters, key=lambda one: one.pk):
        origin = Origin(letter.source, letter.bucket, LetterForm(letter.form), letter.precision)
        groups.setdefault(origin, []).append(letter)
    return groups


def drop_letters(*, letters: Sequence[DeadLetter]) -> None:
    """Forget letters that have been dealt with."""
    DeadLetter.objects.filter(pk__in=[letter.pk for letter in letters]).delete()


def _kept(text: str, length: int) -> str:
    # PostgreSQL keeps every character but this one.
    return text.replace("\x00", "\N{REPLACEMENT CHARACTER}")[:length]
