"""Who sends a request: an API token, or a browser session that proves it was not lured here.

A token comes as `Authorization: Bearer TOKEN` or `Token TOKEN`; no form and no link can send it, so nothing more is
asked. A session is a cookie, which browsers attach to requests other sites make: a request that may change something,
or that costs something, must also carry a header `X-Requested-With` of any value or, unless it is a GET, Django's CSRF
token. Forms cannot set that header, and scripts only of the origins that `TWINS["ORIGINS"]` names; an Origin that does
not match is refused whatever else is sent. A WebSocket handshake has no such header, so with a cookie its Origin must
be present, and whatever is present must match.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import CsrfViewMiddleware

from twins.exceptions import AccessDenied, TokenChanged, TooBusy
from twins.http.origins import origin_matches
from twins.models.access import Scope
from twins.services.principals import Principal, forget_senders, token_principal

LookUp = Callable[[str], Principal | None]
"""From the plain text of a token."""
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class NotAuthenticated(AccessDenied):
    """Nobody is known behind the request, or the token is wrong."""


def authorise(
    request: HttpRequest, *scopes: Scope, executes: bool = False, look_up: LookUp = token_principal
) -> Principal:
    """Who asks, holding at least one of the scopes; raises NotAuthenticated (401) or AccessDenied (403).

    `executes`: the request costs something even by GET, so that a session proves that it was meant. `look_up`: what is
    done for a token that is remembered asks again whether it stands.
    """
    token = sent_token(request.META.get("HTTP_AUTHORIZATION", ""), look_up)
    principal = token or _session_principal(request, executes)
    require(principal, *scopes)
    return principal


def require(principal: Principal, *scopes: Scope) -> None:
    """Refuse a principal with none of the scopes; raises NotAuthenticated or AccessDenied."""
    if principal.is_anonymous:
        raise NotAuthenticated("Sign in, or send an API token in the header 'Authorization: Bearer TOKEN'.")
    if not any(principal.may(scope) for scope in scopes):
        wanted = " or ".join(repr(scope.value) for scope in scopes)
        raise AccessDenied(f"This needs the scope {wanted}: use a token that was created with it, or an entitled user.")


@contextmanager
def looked_up_again(sender: Callable[[], object]) -> Iterator[None]:
    """Within, a remembered token may turn out to have changed: then it is refused as `sender` refuses it now."""
    try:
        yield
    except TokenChanged:
        forget_senders()
        sender()
        raise TooBusy("The token was changed while the readings came in: send them again.") from None


def sent_token(authorization: str, look_up: LookUp = token_principal) -> Principal | None:
    """Whoever the header's token stands for, None without a token; raises NotAuthenticated for a wrong one."""
    scheme, _, plaintext = authorization.strip().partition(" ")
    if scheme.lower() not in {"bearer", "token"}:
        return None  # a proxy's Basic, say, is not for us
    principal = look_up(plaintext.strip())
    if principal is None:
        raise NotAuthenticated("The API token is unknown or revoked: make one with 'manage.py create_token'.")
    return principal


def _session_principal(request: HttpRequest, executes: bool) -> Principal:
    principal = Principal.of_user(getattr(request, "user", None))
    if not principal.is_anonymous and (executes or request.method not in _SAFE_METHODS):
        _refuse_forgery(request)
    return principal


def _refuse_forgery(request: HttpRequest) -> None:
    origin = request.headers.get("Origin")
    if origin is not None and not origin_matches(request):
        raise AccessDenied(f"The request comes from {origin[:200]!r}: add it to ORIGINS in TWINS if that is meant.")
    if request.headers.get("X-Requested-With"):
        return
    if request.method in _SAFE_METHODS:  # of which Django asks nothing
        raise AccessDenied("A link could have sent this: send the header X-Requested-With, or use a token.")
    if reason := _csrf_failure(request):
        raise AccessDenied(f"{reason} Send the CSRF token in X-CSRFToken, or the header X-Requested-With.")


def _csrf_failure(request: HttpRequest) -> str | None:
    check: Any = _CsrfCheck(lambda _: HttpResponse())
    check.process_request(request)
    reason: str | None = check.process_view(request, None, (), {})
    return reason


class _CsrfCheck(CsrfViewMiddleware):
    """Django's own check, answering with the reason instead of a page."""

    def _accept(self, request: HttpRequest) -> None:
        return None

    def _reject(self, request: HttpRequest, reason: str) -> Any:
        return reason
