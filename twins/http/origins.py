"""Which other origins' scripts may use the API from a browser: one list for HTTP (CORS) and WebSocket.

`TWINS["ORIGINS"]` names them as Django's CSRF_TRUSTED_ORIGINS does: "https://app.plant.example", or
"https://*.plant.example" for what stands below. They are trusted like pages of this host, cookies included.
"""

from __future__ import annotations

from django.conf import settings as django_settings
from django.http import HttpRequest, HttpResponse
from django.utils.http import is_same_domain

from twins.conf import settings

_HEADERS = "Authorization, Content-Type, Idempotency-Key, X-CSRFToken, X-Requested-With"
_EXPOSED = "ETag, Retry-After"
_REMEMBERED = 600  # seconds a browser keeps the answer to a preflight


def is_allowed(origin: str) -> bool:
    """Whether the list names it."""
    return _is_among(origin, settings().ORIGINS)


def origin_matches(request: HttpRequest) -> bool:
    """Whether the Origin header is there and is this host, one of ORIGINS or one of CSRF_TRUSTED_ORIGINS."""
    origin = request.META.get("HTTP_ORIGIN", "")
    if origin == f"{'https' if request.is_secure() else 'http'}://{request.get_host()}":
        return True
    return is_allowed(origin) or _is_among(origin, django_settings.CSRF_TRUSTED_ORIGINS)


def preflight(methods: str) -> HttpResponse:
    """The answer to OPTIONS, before `share` adds whom it is for."""
    return HttpResponse(status=204, headers={"Allow": methods, "Access-Control-Allow-Methods": methods})


def share(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """The answer with what a browser needs to hand it to a script of an allowed origin; unchanged for any other."""
    origin = request.META.get("HTTP_ORIGIN", "")
    if not is_allowed(origin):
        del response["Access-Control-Allow-Methods"]
        return response
    response["Access-Control-Allow-Origin"] = origin
    response["Access-Control-Allow-Credentials"] = "true"
    response["Access-Control-Expose-Headers"] = _EXPOSED
    if request.method == "OPTIONS":
        response["Access-Control-Allow-Headers"] = _HEADERS
        response["Access-Control-Max-Age"] = str(_REMEMBERED)
    return response


def _is_among(origin: str, known: list[str] | tuple[str, ...]) -> bool:
    scheme, separator, netloc = origin.lower().partition("://")
    pairs = (each.lower().partition("://") for each in known)
    return bool(separator) and any(scheme == name and is_same_domain(netloc, at.lstrip("*")) for name, _, at in pairs)
