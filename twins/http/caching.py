"""Answers a client may keep for itself: an entity tag of the bytes, 304 when it has them already, gzip when it helps.

Nothing here may be shared: what is answered depends on who asks. Compression does not give secrets away (BREACH),
because answers hold none of the client's: tokens and cookies are in headers and never come back in a body.
"""

from __future__ import annotations

import gzip
import hashlib

from django.http import HttpRequest, HttpResponse

WORTH_COMPRESSING = 1400
"""Bytes: what is smaller travels in one packet anyway."""
_LEVEL = 4


def private(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """A successful answer to GET that its client may keep, to be asked for again each time."""
    if request.method != "GET" or response.status_code != 200:
        return response
    tag = f'W/"{hashlib.blake2b(response.content, digest_size=16).hexdigest()}"'
    response["ETag"] = tag
    response["Cache-Control"] = "private, no-cache"
    if tag in [each.strip() for each in request.META.get("HTTP_IF_NONE_MATCH", "").split(",")]:
        response.content = b""
        response.status_code = 304
        del response["Content-Type"]
    return response


def compressed(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """The answer in gzip where the client reads it and it is large enough to matter."""
    if len(response.content) >= WORTH_COMPRESSING and _reads_gzip(request.META.get("HTTP_ACCEPT_ENCODING", "")):
        response.content = gzip.compress(response.content, _LEVEL, mtime=0)
        response["Content-Encoding"] = "gzip"
        response["Content-Length"] = str(len(response.content))
    return response


def _reads_gzip(accepted: str) -> bool:
    """Whether gzip is named with a quality above 0, or else covered by the wildcard."""
    qualities: dict[str, float] = {}
    for coding in accepted.lower().split(","):
        name, _, quality = coding.partition(";")
        try:
            qualities[name.strip()] = float(quality.strip().removeprefix("q=") or 1)
        except ValueError:
            continue
    return qualities.get("gzip", qualities.get("*", 0)) > 0
