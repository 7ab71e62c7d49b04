"""Small bodies are taken in by the event loop itself, which waits for the database without a thread.

To hand a request to a thread, and to be told of its end, takes about as long as all that is done for a thousand
readings. While the event loop works nobody else is served, so only what needs well below a millisecond is done there;
whatever may last, or asks the database for more than one statement can tell, is left to the view in a thread.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from django.core.exceptions import SynchronousOnlyOperation
from django.http import HttpResponse

from twins.exceptions import TokenChanged
from twins.http.answers import REFUSALS, Said, answer, refusal
from twins.selectors.lines import Line, lines

SMALL = 64 << 10
"""Bytes of a body that an event loop may work on."""

Quick = Callable[[Line, Any, Mapping[bytes, bytes], bytes], Awaitable[Said | None]]
"""From a connection, scope, headers and body to the answer; None, or SynchronousOnlyOperation raised, for what a thread
has to do."""

_log = logging.getLogger(__name__)


async def answer_quickly(
    view: Any, scope: Any, headers: Mapping[bytes, bytes], body: bytes
) -> HttpResponse | Said | None:
    """What the event loop answers; None for what is left to a thread, and then nothing was changed.

    Django refuses whatever asks its own connection here. Raises TokenChanged.
    """
    quick: Quick | None = view.quick
    # A header that came twice is for Django to put together.
    if quick is None or len(body) > SMALL or scope["method"] != "POST" or len(headers) < len(scope["headers"]):
        return None
    own = lines()
    line = own.take()
    if line is None:
        return None
    try:
        return await quick(line, scope, headers, body)
    except SynchronousOnlyOperation:
        return None
    except TokenChanged:
        raise
    except REFUSALS as error:
        return refusal(error)
    except Exception:
        return failed(scope)
    finally:
        own.give(line)


def failed(scope: Any) -> HttpResponse:
    """The answer to a request of which the error in force says what was wrong."""
    _log.exception("a request to %s failed", scope["path"])
    return answer({"errors": [{"message": "Something is wrong here: nothing is known to be kept."}]}, status=500)
