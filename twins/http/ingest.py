"""`POST ingest`: readings as JSON, answered only after the commit.

201 {"batch", "accepted", "repeated": false, "rejects": []} when they are kept, 200 with "repeated": true when they
already were, 422 with the rejects when any row cannot be taken; then nothing was kept. An `Idempotency-Key` header
makes a retry safe: the same key with the same readings gets the first answer, with others 409.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from twins.conf import settings
from twins.http.answers import REFUSALS, answer, refusal, require_json
from twins.http.authentication import authorise
from twins.http.bodies import body_limit, read_body
from twins.http.transactions import commits_itself
from twins.lake import Reject
from twins.models.access import Scope
from twins.selectors.sensors import sensor_keys
from twins.services.ingestion import accept_readings
from twins.services.principals import Principal
from twins.sources import MAX_LISTED_REJECTS, DecodedReadings, decode_json

View = Callable[[HttpRequest], HttpResponse]


def _answers_refusals(view: View) -> View:
    @functools.wraps(view)
    def answering(request: HttpRequest) -> HttpResponse:
        try:
            return view(request)
        except REFUSALS as error:
            return refusal(error)

    return answering


@body_limit(lambda: settings().INGEST_MAX_BYTES)
@commits_itself
@csrf_exempt
@require_POST
@_answers_refusals
def ingest(request: HttpRequest) -> HttpResponse:
    """Take the readings of one request, all or none."""
    # Forgery is asked about in `authorise`, because a token needs no CSRF token.
    principal = authorise(request, Scope.INGEST)
    require_json(request)
    decoded = decode_json(read_body(request, settings().INGEST_MAX_BYTES))
    if decoded.rejects:
        return _rejected(decoded.rejects.listed, decoded.rejects.total)
    keys = _lake_keys(decoded)
    unknown = np.flatnonzero(keys < 0)
    if len(unknown):
        return _rejected(_unknown_sensors(decoded, unknown[:MAX_LISTED_REJECTS]), len(unknown))
    accepted = accept_readings(
        readings=decoded.table.set_column(0, "sensor", pa.array(keys)),
        source=_source(principal),
        key=request.headers.get("Idempotency-Key"),
    )
    if accepted.rejects:
        return _rejected(accepted.rejects, accepted.rejected)
    return answer(
        {"batch": accepted.batch, "accepted": accepted.accepted, "repeated": accepted.repeated, "rejects": []},
        status=200 if accepted.repeated else 201,
    )


def _lake_keys(decoded: DecodedReadings) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    """The sensor's key of every row, -1 where the register knows none."""
    column = decoded.table["sensor"].combine_chunks()
    known = sensor_keys(column.dictionary.to_pylist())
    keys = np.array([known.get(uuid, -1) for uuid in column.dictionary.to_pylist()], np.int32)
    return keys[column.indices.to_numpy()]


def _unknown_sensors(decoded: DecodedReadings, rows: Iterable[int]) -> list[Reject]:
    sensors = pc.cast(decoded.table["sensor"], pa.string())
    return [Reject(int(row), f"sensor {sensors[int(row)].as_py()} is not in the register") for row in rows]


def _source(principal: Principal) -> str:
    return f"token {principal.token.name}" if principal.token else f"user {principal.user.pk}"


def _rejected(rejects: Iterable[Reject], total: int) -> HttpResponse:
    listed = [{"index": reject.index, "reason": reject.reason} for reject in rejects][:MAX_LISTED_REJECTS]
    message = f"{total} of the readings cannot be taken, so none was: correct or leave out the rows named in rejects."
    return answer(
        {"batch": None, "accepted": 0, "rejected": total, "rejects": listed, "errors": [{"message": message}]},
        status=422,
    )
