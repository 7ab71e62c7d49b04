"""What came from outside: names become sensors, good rows become readings, and bad ones dead letters with a reason.

A body is taken whole or, where its source or the request says so, without its bad rows; either way the bad ones are
kept beside, in the transaction of the good ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np

from twins import lake
from twins.exceptions import TokenChanged
from twins.lake import Reject
from twins.models import DeadLetter, LetterForm, SeriesRule
from twins.models.access import ApiToken
from twins.selectors.known import Sensors, known_keys, known_sensors, remembered
from twins.services.ingestion import (
    EARLIEST,
    MAX_AHEAD,
    Acceptance,
    Asking,
    answered,
    answered_on,
    check_names,
    find_rejects,
    first_answer,
    keep_readings,
)
from twins.services.letters import Origin, by_origin, drop_letters, keep_letters, letters_of
from twins.services.series import RULES, register_uuids
from twins.services.tokens import still_stands
from twins.sources import MAX_LISTED_REJECTS, DecodedReadings, decode_lines, decode_ndjson, digest_of, pack_faultless

__all__ = ["Acceptance", "Asking", "Origin", "answered", "answered_before", "answered_on", "send_again", "take_in"]


def answered_before(*, origin: Origin, key: str, fingerprint: str) -> Acceptance | None:
    """The answer that the same request, by its hash, was given under this key; raises ReadingsError for a bad key."""
    check_names(origin.source, key)
    found = first_answer(source=origin.source, key=key, fingerprint=fingerprint)
    return None if found is None else _with_letters(found)


def take_in(
    *,
    decoded: DecodedReadings,
    origin: Origin,
    key: str | None = None,
    fingerprint: str | None = None,
    keep_good: bool | None = None,
    now: datetime | None = None,
    token: ApiToken | None = None,
) -> Asking[Acceptance]:
    """Keep what a decoder found; durable when it is `answered`. `keep_good` None leaves it to the rule of the source.

    The answer lists at most MAX_LISTED_REJECTS rejects, by their place in the body. Raises ReadingsError, and
    ConflictingKey for a key used again for other readings, and TokenChanged when the `token` it was sent with is not
    what it was when it was looked up; then nothing is kept.
    """
    check_names(origin.source, key)
    rule = RULES.rule(source=origin.source, bucket=origin.bucket)
    packed, rejects, rejected = _sifted(decoded, _sensors(decoded, rule, origin.form), now or datetime.now(UTC))
    if rejected:
        if key and fingerprint and (first := answered_before(origin=origin, key=key, fingerprint=fingerprint)):
            return first
        if token and not still_stands(token):
            raise TokenChanged("The API token was changed or revoked: look it up again.")
        if packed is None or not _keeps(rule, origin, keep_good):
            keep_letters(rejects=rejects, origin=origin, batch=None)
            return Acceptance(batch=None, accepted=0, rejects=rejects, rejected=rejected)
    assert packed is not None  # a body without any reading is no body
    kept = yield from keep_readings(
        packed=packed,
        source=origin.source,
        key=key,
        fingerprint=fingerprint,
        rejected=rejected,
        token=token,
        beside=(lambda batch: keep_letters(rejects=rejects, origin=origin, batch=batch)) if rejected else None,
    )
    if key and kept.repeated:
        return _with_letters(kept)
    return replace(kept, rejects=rejects, rejected=rejected) if rejected else kept


def _with_letters(found: Acceptance) -> Acceptance:
    """An answer that was given before, with its rejects as far as they are still kept."""
    if found.batch is None or not found.rejected:
        return found
    return replace(found, rejects=tuple(letters_of(batch=found.batch)))


def _sifted(
    decoded: DecodedReadings, sensors: Sensors, now: datetime
) -> tuple[lake.Packed | None, tuple[Reject, ...], int]:
    """The readings that may enter, if there are any, the first rejects and how many there are."""
    if sensors.all_known and not decoded.rejects and (packed := _packed_at_once(decoded.readings, sensors, now)):
        return packed, (), 0
    code = decoded.readings.sensor
    readings = decoded.readings._replace(sensor=sensors.keys[code])
    unknown, known = np.empty(0, np.int64), None
    if not sensors.all_known:
        unknown = np.flatnonzero(readings.sensor < 0)
        known = np.flatnonzero(readings.sensor >= 0)
        readings, code = readings.take(known), code[known]
    limits = lake.Limits(code, decoded.names, sensors.low, sensors.high, sensors.limited)
    bad, faults = find_rejects(readings, now, limits)
    if not (decoded.rejects or len(unknown) or len(bad)):
        return lake.pack(readings), (), 0
    found = [(int(row), _unknown(decoded, int(row))) for row in unknown[:MAX_LISTED_REJECTS]]
    found += [(fault.index if known is None else int(known[fault.index]), fault.reason) for fault in faults]
    rejects = [*decoded.rejects.listed]
    rejects += [Reject(decoded.place(row), reason, decoded.content(row)) for row, reason in found]
    rejects.sort(key=lambda reject: reject.index)
    kept = readings.take(np.delete(np.arange(len(code)), bad))
    packed = lake.pack(kept) if len(kept.sensor) else None
    return packed, tuple(rejects[:MAX_LISTED_REJECTS]), decoded.rejects.total + len(unknown) + len(bad)


def _packed_at_once(readings: lake.Columns, sensors: Sensors, now: datetime) -> lake.Packed | None:
    return pack_faultless(
        readings,
        keys=sensors.keys,
        low=sensors.low,
        high=sensors.high,
        earliest=lake.microseconds(EARLIEST),
        latest=lake.microseconds(now + MAX_AHEAD),
    )


def _unknown(decoded: DecodedReadings, row: int) -> str:
    name = decoded.spelt[int(decoded.readings.sensor[row])].as_py()
    return f"sensor {str(name)[:200]} is not in the register"


def _sensors(decoded: DecodedReadings, rule: SeriesRule, form: LetterForm) -> Sensors:
    """What the names of a body stand for, by a rule."""

    def find() -> Sensors:
        texts = decoded.spelt.to_pylist()
        known = RULES.keys(texts, rule) if form == LetterForm.LINE else _by_uuid(texts, rule)
        return known_sensors([known.get(text) for text in texts])

    return remembered((form, rule.pk, RULES.age, decoded.digest or digest_of(decoded.names)), find)


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
            answer = answered(take_in(decoded=decoded, origin=origin, keep_good=True))
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
