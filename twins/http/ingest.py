"""`POST ingest`: readings in any of the formats of `twins.sources`, answered only after the commit.

201 {"batch", "accepted", "rejected", "repeated": false, "rejects": []} when they are kept, 200 with "repeated": true
when they already were, 422 with the rejects when any row cannot be taken; then nothing was kept. With `?partial=true`,
or where the rule of the source says so, the good rows are kept and the others listed under "rejects". An
`Idempotency-Key` header makes a retry safe: the same key with the same readings gets the first answer, with others 409.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from twins.conf import settings
from twins.events import is_listened_to
from twins.exceptions import ReadingsError
from twins.http.alone import stands_alone
from twins.http.answers import Said, answer, answers_refusals, say
from twins.http.authentication import authorise, looked_up_again, require, sent_token
from twins.http.bodies import UnsupportedBody, body_limit, one_at_a_time, opened_body
from twins.http.transactions import commits_itself
from twins.models.access import Scope
from twins.selectors.lines import Line
from twins.services.intake import Acceptance, Asking, Origin, answered, answered_on, take_in
from twins.services.pressure import check_pressure
from twins.services.principals import Principal, remembered_sender
from twins.sources import (
    DecodedReadings,
    decode_arrow,
    decode_csv,
    decode_json,
    decode_known_arrow,
    decode_ndjson,
    decode_parquet,
)

FORMATS: dict[str, Callable[[bytes], DecodedReadings]] = {
    "application/json": decode_json,
    "application/x-ndjson": decode_ndjson,
    "application/ndjson": decode_ndjson,
    "text/csv": decode_csv,
    "application/vnd.apache.arrow.stream": decode_arrow,
    "application/vnd.apache.parquet": decode_parquet,
}
"""Decoders by content type."""
_QUICK: dict[bytes, Callable[[bytes], DecodedReadings | None]] = {
    b"application/vnd.apache.arrow.stream": decode_known_arrow
}
"""Those that need well below a millisecond for a small body, or say that they would need more."""
_CHOICES = {"true": True, "1": True, "false": False, "0": False}


def _sender(request: HttpRequest) -> Principal:
    # Forgery is asked about in `authorise`, because a token needs no CSRF token.
    return authorise(request, Scope.INGEST, look_up=remembered_sender)


async def _ingest_quickly(line: Line, scope: Any, headers: Mapping[bytes, bytes], body: bytes) -> Said | None:
    decode = _QUICK.get(headers.get(b"content-type", b""))
    if decode is None or scope["query_string"] or b"content-encoding" in headers or is_listened_to("readings_accepted"):
        return None
    sender = sent_token(headers[b"authorization"].decode("latin-1"), remembered_sender)
    if sender is None:
        return None
    require(sender, Scope.INGEST)
    check_pressure()
    decoded = decode(body)
    if decoded is None:
        return None
    key = headers[b"idempotency-key"].decode("latin-1") if b"idempotency-key" in headers else None
    return _said(await answered_on(line, _taking(decoded, sender, key, body)))


@body_limit(lambda: settings().INGEST_MAX_BYTES)
@stands_alone(_sender, quick=_ingest_quickly)
@commits_itself
@csrf_exempt
@require_POST
@answers_refusals
def ingest(request: HttpRequest) -> HttpResponse:
    """Take the readings of one request."""
    sender = _sender(request)
    decode, keep_good = _decoder(request), _keep_good(request)
    check_pressure()
    key = request.META.get("HTTP_IDEMPOTENCY_KEY")
    with one_at_a_time(), looked_up_again(lambda: _sender(request)):
        body = opened_body(request, settings().INGEST_MAX_BYTES)
        taken = answered(_taking(decode(body), sender, key, body, keep_good))
    said = _said(taken)
    return answer(said.body, status=said.status)


def _taking(
    decoded: DecodedReadings, sender: Principal, key: str | None, body: bytes, keep_good: bool | None = None
) -> Asking[Acceptance]:
    return take_in(
        decoded=decoded,
        origin=Origin(source_of(sender)),
        key=key,
        fingerprint=None if key is None else hashlib.sha256(body).hexdigest(),
        keep_good=keep_good,
        token=sender.token,
    )


def source_of(principal: Principal) -> str:
    """Who sent a batch, as it is written beside it."""
    return f"token {principal.token.name}" if principal.token else f"user {principal.user.pk}"


def _decoder(request: HttpRequest) -> Callable[[bytes], DecodedReadings]:
    try:
        return FORMATS[request.content_type or ""]
    except KeyError:
        raise UnsupportedBody(f"Send the body with one of these as Content-Type: {', '.join(FORMATS)}.") from None


def _keep_good(request: HttpRequest) -> bool | None:
    asked = request.GET.get("partial") if request.META.get("QUERY_STRING") else None
    if asked is not None and asked not in _CHOICES:
        raise ReadingsError(f"partial is {asked[:20]!r}: use true or false.")
    return None if asked is None else _CHOICES[asked]


def _said(taken: Acceptance) -> Said:
    content = {
        "batch": taken.batch,
        "accepted": taken.accepted,
        "rejected": taken.rejected,
        "repeated": taken.repeated,
        "rejects": [{"index": reject.index, "reason": reject.reason} for reject in taken.rejects],
    }
    if taken.batch is not None:
        return say(content, status=200 if taken.repeated else 201)
    message = (
        f"{taken.rejected} of the readings cannot be taken, so none was: correct or leave out the rows named in "
        "rejects, or send with partial=true."
    )
    return say({**content, "errors": [{"message": message}]}, status=422)
