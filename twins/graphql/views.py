"""GraphQL over HTTP as its specification has it: POST with JSON, GET for queries, and a page for a signed-in browser.

Answers are encoded by orjson, so a resolver may hand over ready JSON as `orjson.Fragment`. A client that accepts
`application/graphql-response+json` learns from the status whether anything was executed (4xx: it was not). For
`application/json` a document that is wrong is answered 200, as older clients expect it; what is no GraphQL request, is
not allowed or asks for too much is a 4xx in both.

A URL is written into logs and histories, and a link can send it: GET takes the text of a document only from who may
read the schema, and from a session only with the proof that POST needs.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from asgiref.sync import async_to_sync
from django.conf import settings as django_settings
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.templatetags.static import static
from django.urls import NoReverseMatch, reverse
from django.utils.cache import patch_vary_headers
from django.views.decorators.csrf import csrf_exempt
from strawberry.schema.exceptions import InvalidOperationTypeError
from strawberry.types.execution import ExecutionResult
from strawberry.types.graphql import OperationType

from twins.conf import settings
from twins.exceptions import AccessDenied, MalformedBody, TokenChanged
from twins.graphql.answers import Operation, is_refused
from twins.graphql.context import Context
from twins.graphql.execution import Execution, resolved
from twins.http.alone import stands_alone
from twins.http.answers import REFUSALS, answer, refusal, require_json
from twins.http.authentication import NotAuthenticated, authorise
from twins.http.bodies import body_limit, read_body, read_json
from twins.http.caching import compressed, private
from twins.http.negotiation import preferred_type
from twins.http.origins import preflight, share
from twins.http.rate import spend_request
from twins.http.transactions import commits_itself
from twins.models.access import Scope
from twins.services.principals import Principal, forget_readers, remembered_reader

View = Callable[[HttpRequest], HttpResponse]
JSON, RESPONSE, PAGE = "application/json", "application/graphql-response+json", "text/html"
_ALLOWED = {
    "GET": {OperationType.QUERY},
    "POST": {OperationType.QUERY, OperationType.MUTATION},
}
_METHODS = "GET, OPTIONS, POST"
_PARAMETERS = ("query", "documentId", "operationName", "variables", "extensions")
_VARY = ("Accept", "Accept-Encoding", "Authorization", "Cookie", "Origin")
"""Headers of a request that an answer depends on."""
_STATUS = {"FORBIDDEN": 403, "INTERNAL": 500, "LIMIT_EXCEEDED": 400}
"""What a refused operation is in HTTP by the code of its error, whatever the client accepts."""


def _answers_refusals(view: View) -> View:
    @functools.wraps(view)
    def answering(request: HttpRequest) -> HttpResponse:
        try:
            return view(request)
        except REFUSALS as error:
            response = refusal(error)
            response["Content-Type"] = _header(_content_type(request) or JSON)
            return response

    return answering


def _dresses_answers(view: View) -> View:
    """Lets clients keep, unpack and share what is answered, refusals included."""

    @functools.wraps(view)
    def dressing(request: HttpRequest) -> HttpResponse:
        response = share(request, compressed(request, private(request, view(request))))
        patch_vary_headers(response, _VARY)
        return response

    return dressing


def _asker(request: HttpRequest) -> Principal:
    return authorise(request, Scope.READ, Scope.WRITE)


@body_limit(lambda: settings().QUERY_MAX_BYTES)
@stands_alone(_asker, asks=True)
@commits_itself
@csrf_exempt
@_dresses_answers
@_answers_refusals
def graphql(request: HttpRequest) -> HttpResponse:
    """One operation of one request, or the page to write one."""
    if request.method == "OPTIONS":
        return preflight(_METHODS)
    if request.method not in _ALLOWED:
        return _not_allowed(f"{request.method} is not answered here: use POST.", _METHODS)
    if request.method == "GET" and _wants_page(request):
        try:
            principal = _asker(request)
        except NotAuthenticated:
            return redirect_to_login(request.get_full_path(), _login_url())
        if principal.token is None:
            _require_introspection(principal, "The page needs the scope")
            return _page(request)
    principal = _admit(request)
    content_type = _content_type(request)
    if content_type is None:
        return answer({"errors": [{"message": f"Answers are {JSON} or {RESPONSE}: accept one of them."}]}, status=406)
    operation = resolved(_operation(request, principal), principal)
    return _execute(request, principal, operation, content_type)


def _admit(request: HttpRequest) -> Principal:
    principal = authorise(request, Scope.READ, Scope.WRITE, executes=True, look_up=remembered_reader)
    spend_request(principal)
    return principal if principal.token else principal.with_rights()


def _execute(request: HttpRequest, principal: Principal, operation: Operation, content_type: str) -> HttpResponse:
    assert request.method is not None
    execution = Execution(operation, Context(principal=principal, request=request))
    if not _is_told_at_once(execution):
        if principal.proof is not None:  # and no statement has asked for it
            execution.asked_by(_asker(request).with_rights())
        try:
            async_to_sync(execution.run)(_ALLOWED[request.method])
        except InvalidOperationTypeError as error:
            return _wrong_operation(request.method, error.operation_type)
    result, body = execution.told()
    return answer(body, status=_status(result, content_type), content_type=_header(content_type))


def _is_told_at_once(execution: Execution) -> bool:
    try:
        return execution.at_once()
    except TokenChanged:
        forget_readers()
        return False


def _status(result: ExecutionResult, content_type: str) -> int:
    if not is_refused(result):
        return 200
    codes = [(error.extensions or {}).get("code") for error in result.errors or ()]
    known = [_STATUS[code] for code in codes if code in _STATUS]
    return known[0] if known else 400 if content_type == RESPONSE else 200


def _operation(request: HttpRequest, principal: Principal) -> Operation:
    if request.method == "GET":
        operation = Operation.of(_parameters(request.META.get("QUERY_STRING", "")))
        if operation.document is None:
            _require_introspection(principal, "The text of a document by GET is for development: use POST, or")
        return operation
    require_json(request)
    body = read_body(request, settings().QUERY_MAX_BYTES)
    return Operation.of(read_json(body), body)


def _parameters(query_string: str) -> dict[str, Any]:
    """The parameters of a GET; raises MalformedBody for what is no UTF-8, no JSON or said twice."""
    try:
        pairs = parse_qsl(query_string, keep_blank_values=True, errors="strict", max_num_fields=50)
    except ValueError as error:
        raise MalformedBody(f"The query string cannot be read: {error}.") from None
    given = {name: value for name, value in pairs if name in _PARAMETERS and value}
    for name in given:
        if sum(name == each for each, _ in pairs) > 1:
            raise MalformedBody(f"The parameter '{name}' stands twice in the query string.")
    for name in {"variables", "extensions"} & set(given):
        given[name] = read_json(given[name].encode(), name)
    return given


def _require_introspection(principal: Principal, reason: str) -> None:
    if not principal.may(Scope.INTROSPECT):
        raise AccessDenied(f"{reason} the scope {Scope.INTROSPECT.value!r}.")


def _wrong_operation(method: str, kind: OperationType) -> HttpResponse:
    if kind is OperationType.SUBSCRIPTION:
        message = "A subscription is opened over WebSocket (graphql-transport-ws) at this address."
        return answer({"errors": [{"message": message}]}, status=400)
    return _not_allowed(f"A {kind.value} cannot be sent by {method}: use POST.", "POST")


def _not_allowed(message: str, allowed: str) -> HttpResponse:
    response = answer({"errors": [{"message": message}]}, status=405)
    response["Allow"] = allowed
    return response


def _content_type(request: HttpRequest) -> str | None:
    """What the answer is written as, None when the client reads neither; whoever takes anything gets plain JSON."""
    accept = request.META.get("HTTP_ACCEPT", "")
    return preferred_type(accept, (RESPONSE, JSON) if RESPONSE in accept.lower() else (JSON, RESPONSE))


def _header(content_type: str) -> str:
    # JSON has no charset parameter; the newer type has.
    return f"{RESPONSE}; charset=utf-8" if content_type == RESPONSE else content_type


def _wants_page(request: HttpRequest) -> bool:
    asked = request.META.get("QUERY_STRING", "")
    return not any(f"{name}=" in asked for name in ("query", "documentId")) and (
        preferred_type(request.META.get("HTTP_ACCEPT"), (JSON, RESPONSE, PAGE)) == PAGE
    )


def _login_url() -> str:
    try:
        return reverse("admin:login")
    except NoReverseMatch:
        return str(django_settings.LOGIN_URL)


def _page(request: HttpRequest) -> HttpResponse:
    """A page of our own, allowed by its policy to load and ask nothing elsewhere (but static files, where they are)."""
    response = render(request, "twins/console.html")
    address = urlsplit(static("twins/console.js"))
    files = f"{address.scheme or request.scheme}://{address.netloc}" if address.netloc else "'self'"
    rules = {"default-src": "'none'", "script-src": files, "style-src": files, "img-src": "data:"}
    rules |= {"connect-src": "'self'", "base-uri": "'none'", "form-action": "'none'", "frame-ancestors": "'none'"}
    response["Content-Security-Policy"] = "; ".join(f"{name} {value}" for name, value in rules.items())
    response["Cache-Control"] = "no-store"
    return response
