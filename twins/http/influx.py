"""InfluxDB's ways in, so that Telegraf, Node-RED and every client of either version write here unchanged.

`/api/v2/write` (bucket, org) and `/write` (db, rp) take line protocol. The token comes as `Authorization: Token ...` or
`Bearer ...`, or as the password of a client of version 1 (`p=...` or Basic). 204 when all was kept. As in InfluxDB good
lines are kept beside bad ones, which gives 400 "partial write" with the first reasons; the bad ones are dead letters. A
rule of the source may refuse such a body whole instead.
"""

from __future__ import annotations

import base64
import binascii
import functools
import time

from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_http_methods, require_POST, require_safe

from twins.conf import settings
from twins.exceptions import ReadingsError
from twins.http.alone import stands_alone
from twins.http.answers import REFUSALS, View, answer, refused
from twins.http.authentication import NotAuthenticated, looked_up_again, require, sent_token
from twins.http.bodies import body_limit, one_at_a_time, opened_body
from twins.http.ingest import source_of
from twins.http.transactions import commits_itself
from twins.models import LetterForm
from twins.models.access import Scope
from twins.services.intake import Acceptance, Origin, answered, take_in
from twins.services.pressure import check_pressure
from twins.services.principals import Principal, remembered_sender
from twins.sources import decode_lines

_VERSION = {"X-Influxdb-Version": "2.7.0", "X-Influxdb-Build": "asset-twins"}
_CODES = {
    400: "invalid", 401: "unauthorized", 403: "forbidden", 413: "request too large", 422: "unprocessable entity",
    429: "too many requests", 503: "unavailable",
}  # fmt: skip


def _answers_in_their_shape(view: View) -> View:
    @functools.wraps(view)
    def answering(request: HttpRequest) -> HttpResponse:
        try:
            return view(request)
        except REFUSALS as error:
            status, message, headers = refused(error)
            return _problem(status, message, **headers)

    return answering


def _sender(request: HttpRequest) -> Principal:
    principal = sent_token(_authorisation(request), remembered_sender)
    if principal is None:
        raise NotAuthenticated("Send an API token in the header 'Authorization: Token TOKEN'.")
    require(principal, Scope.INGEST)
    return principal


@body_limit(lambda: settings().INGEST_MAX_BYTES)
@stands_alone(_sender)
@commits_itself
@csrf_exempt
@require_POST
@_answers_in_their_shape
def write(request: HttpRequest) -> HttpResponse:
    """Take the lines of one request."""
    now = time.time_ns() // 1_000
    parameters = request.GET
    bucket = parameters.get("bucket") or "/".join(filter(None, (parameters.get("db"), parameters.get("rp"))))
    precision = parameters.get("precision", "ns")
    sender = _sender(request)
    origin = Origin(source_of(sender), bucket[:200], LetterForm.LINE, precision)
    check_pressure()
    with one_at_a_time(), looked_up_again(lambda: _sender(request)):
        body = opened_body(request, settings().INGEST_MAX_BYTES)
        if not body.strip():
            raise ReadingsError("The body holds no line: send at least one.")
        decoded = decode_lines(body, precision=precision, now=now)
        taken = answered(take_in(decoded=decoded, origin=origin, token=sender.token))
    return _written(taken)


@require_safe
def ping(request: HttpRequest) -> HttpResponse:
    """Whether anybody is there; open to everyone, as theirs is."""
    return HttpResponse(status=204, headers=_VERSION)


@require_GET
def health(request: HttpRequest) -> HttpResponse:
    """What clients of version 2 ask first."""
    return answer(
        {"name": "asset-twins", "message": "ready for writes", "status": "pass", "checks": [], "version": "2.7.0"}
    )


@csrf_exempt
@require_http_methods(["GET", "POST"])
@_answers_in_their_shape
def query(request: HttpRequest) -> HttpResponse:
    """What clients of version 1 ask before they write: databases are made and shown, all else is refused."""
    _sender(request)
    asked = request.GET.get("q") or request.POST.get("q", "")
    words = asked.upper().split()
    result: dict[str, object] = {"statement_id": 0}
    if words[:2] == ["SHOW", "DATABASES"]:
        names = [[request.GET.get("db", "twins")]]
        result["series"] = [{"name": "databases", "columns": ["name"], "values": names}]
    elif words[:2] != ["CREATE", "DATABASE"]:
        return _problem(400, "Only writing is done in this way: read with GraphQL, or out of the lake's files.")
    return answer({"results": [result]})


def _authorisation(request: HttpRequest) -> str:
    """The header as a token's, wherever a client of either version has put it."""
    header = request.META.get("HTTP_AUTHORIZATION", "")
    scheme, _, rest = header.partition(" ")
    if scheme.lower() == "basic":
        try:
            return "Token " + base64.b64decode(rest, validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            return "Token "
    return header or (f"Token {request.GET['p']}" if "p" in request.GET else "")


def _written(taken: Acceptance) -> HttpResponse:
    if not taken.rejected:
        return HttpResponse(status=204)
    reasons = "; ".join(f"line {reject.index + 1} {reject.reason}" for reject in taken.rejects[:5])
    if taken.batch is None:
        return _problem(400, f"nothing was written, {taken.rejected} refused: {reasons}")
    return _problem(400, f"partial write: {taken.accepted} written, {taken.rejected} refused: {reasons}")


def _problem(status: int, message: str, **headers: str) -> HttpResponse:
    # "error" is what clients of version 1 read.
    content = {"code": _CODES.get(status, "internal error"), "message": message, "error": message}
    response = answer(content, status=status)
    for name, value in {**headers, "X-Influxdb-Error": message.encode("ascii", "replace").decode()[:500]}.items():
        response[name] = value
    return response
