"""GraphQL over HTTP: POST with JSON, GET for queries only, and GraphiQL for a browser that is signed in.

Answers are encoded by orjson, so a resolver may hand over ready JSON as `orjson.Fragment`. Once a request is
well-formed the status is 200 and errors are in the answer, unless the client prefers
`application/graphql-response+json`: then a request that could not be executed at all is 400.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine
from typing import Any

import orjson
from asgiref.sync import sync_to_async
from django.conf import settings as django_settings
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.templatetags.static import static
from django.urls import NoReverseMatch, reverse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods
from strawberry.http.ides import get_graphql_ide_html
from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError
from strawberry.types.graphql import OperationType

from twins.conf import settings
from twins.exceptions import MalformedBody
from twins.graphql.answers import Operation, encode
from twins.graphql.context import Context
from twins.graphql.schema import schema
from twins.http.answers import REFUSALS, answer, refusal, require_json
from twins.http.authentication import NotAuthenticated, authorise
from twins.http.bodies import body_limit, read_body
from twins.http.transactions import commits_itself
from twins.models.access import Scope
from twins.services.principals import Principal

View = Callable[[HttpRequest], Coroutine[Any, Any, HttpResponse]]
RESPONSE_TYPE = "application/graphql-response+json"
_ALLOWED = {
    "GET": {OperationType.QUERY},
    "POST": {OperationType.QUERY, OperationType.MUTATION},
}


def _answers_refusals(view: View) -> View:
    @functools.wraps(view)
    async def answering(request: HttpRequest) -> HttpResponse:
        try:
            return await view(request)
        except REFUSALS as error:
            return refusal(error)

    return answering


@body_limit(lambda: settings().QUERY_MAX_BYTES)
@commits_itself
@csrf_exempt
@require_http_methods(["GET", "POST"])
@_answers_refusals
async def graphql(request: HttpRequest) -> HttpResponse:
    """One operation of one request, or the page to write one."""
    wants_page = request.method == "GET" and "query" not in request.GET and _prefers_html(request)
    try:
        principal = await sync_to_async(authorise)(request, Scope.READ, Scope.WRITE)
    except NotAuthenticated:
        if wants_page:
            return redirect_to_login(request.get_full_path(), _login_url())
        raise
    if wants_page:
        return HttpResponse(_page())
    return await _execute(request, principal, _operation(request))


async def _execute(request: HttpRequest, principal: Principal, operation: Operation) -> HttpResponse:
    assert request.method is not None
    try:
        result = await schema.execute(
            operation.query,
            variable_values=operation.variables,
            operation_name=operation.name,
            context_value=Context(principal=principal, request=request, splice=True),
            allowed_operation_types=_ALLOWED[request.method],
        )
    except InvalidOperationTypeError as error:
        return _wrong_operation(request.method, error.operation_type)
    except CannotGetOperationTypeError:
        raise MalformedBody("The document holds no such operation, or several and no 'operationName'.") from None
    content_type = _content_type(request)
    unexecuted = result.data is None and content_type == RESPONSE_TYPE and bool(result.errors)
    return answer(encode(result), status=400 if unexecuted else 200, content_type=content_type)


def _operation(request: HttpRequest) -> Operation:
    if request.method == "GET":
        variables = request.GET.get("variables") or "null"
        document: Any = {**request.GET.dict(), "variables": _json(variables.encode(), "variables")}
        return Operation.of(document)
    require_json(request)
    return Operation.of(_json(read_body(request, settings().QUERY_MAX_BYTES), "body"))


def _json(text: bytes, what: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise MalformedBody(f"The {what} is not JSON: {error}.") from None


def _wrong_operation(method: str, kind: OperationType) -> HttpResponse:
    if kind is OperationType.SUBSCRIPTION:
        message = "A subscription is opened over WebSocket (graphql-transport-ws) at this address."
        return answer({"errors": [{"message": message}]}, status=400)
    response = answer({"errors": [{"message": f"A {kind.value} cannot be sent by {method}: use POST."}]}, status=405)
    response["Allow"] = "POST"
    return response


def _content_type(request: HttpRequest) -> str:
    return request.get_preferred_type(["application/json", RESPONSE_TYPE]) or "application/json"


def _prefers_html(request: HttpRequest) -> bool:
    return request.get_preferred_type(["application/json", RESPONSE_TYPE, "text/html"]) == "text/html"


def _login_url() -> str:
    try:
        return reverse("admin:login")
    except NoReverseMatch:
        return str(django_settings.LOGIN_URL)


@functools.cache
def _page() -> str:
    """Strawberry's GraphiQL, sending the header that says it is no form; without internet a plain page stands in."""
    page = get_graphql_ide_html("graphiql")
    page = page.replace("<head>", f'<head><script src="{static("twins/console.js")}"></script>', 1)
    return page.replace("const defaultHeaders = {};", 'const defaultHeaders = {"X-Requested-With": "GraphiQL"};')
