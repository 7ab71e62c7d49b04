"""What came from outside: names become sensors, good rows become readings, and bad ones dead letters with a reason.

A body is taken whole or, where its source or the request says so, without its bad rows; either way the bad ones are
kept beside, in the transaction of the good ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

import numpy as np
import pyarrow as pa
from django.utils import timezone

from twins import lake
from twins.lake import Reject
from twins.models import DeadLetter, LetterForm, SeriesRule
from twins.selectors.known import known_keys
from twins.services.ingestion import Acceptance, check_names, find_rejects, first_answer, keep_readings
from twins.services.letters import Origin, by_origin, drop_letters, keep_letters, letters_of
from twins.services.series import RULES, register_uuids
from twins.sources import MAX_LISTED_REJECTS, DecodedReadings, decode_lines, decode_ndjson

__all__ = ["Acceptance", "Origin", "answered_before", "send_again", "take_in"]


def answered_before(*, origin: Origin, key: str, fingerprint: str) -> Acceptance | None:
    """The answer that the same request, by its hash, was given under this key; raises ReadingsError for a bad key."""
    check_names(origin.source, key)
    found = first_answer(source=origin.source, key=key, fingerprint=fingerprint)
    if found is None or found.batch is None or not found.rejected:
        return found
    return replace(found, rejects=tuple(letters_of(batch=found.batch)))


def take_in(
    *,
    decoded: DecodedReadings,
    origin: Origin,
    key: str | None = None,
    fingerprint: str | None = None,
    keep_good: bool | None = None,
    now: datetime | None = None,
) -> Acceptance:
    """Keep what a decoder found; durable when this returns. `keep_good` None leaves it to the rule of the source.

    The answer lists at most MAX_LISTED_REJECTS rejects, by their place in the body. Raises ReadingsError, and
    ConflictingKey for a key used again for other readings.
    """
    check_names(origin.source, key)
    rule = RULES.rule(source=origin.source, bucket=origin.bucket)
    readings, rejects, rejected = _sifted(decoded, _keys(decoded, rule, origin.form), now or timezone.now())
    if rejected and not (readings.num_rows and _keeps(rule, origin, keep_good)):
        keep_letters(rejects=rejects, origin=origin, batch=None)
        return Acceptance(batch=None, accepted=0, rejects=rejects, rejected=rejected)
    kept = keep_readings(
        readings=readings,
        source=origin.source,
        key=key,
        fingerprint=fingerprint,
        rejected=rejected,
        beside=lambda batch: keep_letters(rejects=rejects, origin=origin, batch=batch),
    )
    return replace(kept, rejects=rejects, rejected=rejected)


def _sifted(decoded: DecodedReadings, keys: np.ndarray, now: datetime) -> tuple[pa.Table, tuple[Reject, ...], int]:
    """The readings that may enter, the first rejects and how many there are."""
    readings = lake.conform(decoded.table.set_column(0, "sensor", pa.array(keys)))
    unknown = np.flatnonzero(keys < 0)
    known = None
    if len(unknown):
        known = np.flatnonzero(keys >= 0)
        readings = readings.take(pa.array(known))
    bad, faults = find_rejects(readings, now)
    if not (decoded.rejects or len(unknown) or len(bad)):
        return readings, (), 0
    found = [(int(row), _unknown(decoded, int(row))) for row in unknown[:MAX_LISTED_REJECTS]]
    found += [(fault.index if known is None else int(known[fault.index]), fault.reason) for fault in faults]
    rejects = [*decoded.rejects.listed]
    rejects += [Reject(decoded.place(row), reason, decoded.content(row)) for row, reason in found]
    rejects.sort(key=lambda reject: reject.index)
    kept = readings.filter(pa.array(~np.isin(np.arange(readings.num_rows), bad))) if len(bad) else readings
    return kept, tuple(rejects[:MAX_LISTED_REJECTS]), decoded.rejects.total + len(unknown) + len(bad)


def _unknown(decoded: DecodedReadings, row: int) -> str:
    return f"sensor {str(decoded.table['sensor'][row].as_py())[:200]} is not in the register"


def _keys(decoded: DecodedReadings, rule: SeriesRule, form: LetterForm) -> np.ndarray:
    """The lake key of every row's sensor, -1 where the register knows none."""
    column = decoded.table["sensor"].combine_chunks()
    names = column.dictionary.to_pylist()
    known = RULES.keys(names, rule) if form == LetterForm.LINE else _by_uuid(names, rule)
    keys = np.array([known.get(name, -1) for name in names], np.int32)
    return keys[column.indices.to_numpy()]


def _by_uuid(names: Sequence[str], rule: SeriesRule) -> Mapping[str, int]:
    known = known_keys(names)
    if rule.register_unknown and len(known) < len(names):
        register_uuids([name for name in names if name not in known], rule)
        known = known_keys(names)
    return known


def send_again(*, letters: Sequence[DeadLetter]) -> tuple[int, int]:
    """Take letters in once more, as their source would; how many readings were accepted, and how many rows were not.

    A row that fails again is a new letter with its new reason.
    """
    accepted = rejected = 0
    for origin, rows in by_origin(letters).items():
        for decoded in _read_again(origin, rows):
            answer = take_in(decoded=decoded, origin=origin, keep_good=True)
            accepted, rejected = accepted + answer.accepted, rejected + answer.rejected
        drop_letters(letters=rows)
    return accepted, rejected


def _read_again(origin: Origin, letters: Sequence[DeadLetter]) -> list[DecodedReadings]:
    if origin.form == LetterForm.JSON:
        return [decode_ndjson(b"\n".join(letter.content.replace("\n", " ").encode() for letter in letters))]
    # A line without a time was stamped when it came.
    return [
        decode_lines(
            letter.content.encode(), precision=origin.precision or "ns", now=lake.microseconds(letter.received_at)
        )
        for letter in letters
    ]


def _keeps(rule: SeriesRule, origin: Origin, asked: bool | None) -> bool:
    wanted = rule.keep_good if asked is None else asked
    return origin.form == LetterForm.LINE if wanted is None else wanted
