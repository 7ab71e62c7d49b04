"""One ASGI application: Django over HTTP with the admin's static files, and the twins over WebSocket."""

import gc
import os
from typing import Any, cast

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
_django = get_asgi_application()  # sets Django up, which the imports below need

from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler  # noqa: E402
from django.urls import re_path  # noqa: E402

from twins.http.guard import bounded_bodies  # noqa: E402
from twins.lake import keep_memory  # noqa: E402
from twins.routing import websocket_urlpatterns  # noqa: E402


async def _nowhere(scope: Any, receive: Any, send: Any) -> None:
    """Refuse a socket to any other address, which Channels would answer with a traceback."""
    await receive()
    await send({"type": "websocket.close"})


# Static files come from the packages themselves: no collectstatic, and no middleware on the way of other requests.
application = ProtocolTypeRouter(
    {
        "http": bounded_bodies(ASGIStaticFilesHandler(_django)),
        "websocket": URLRouter([*websocket_urlpatterns, re_path("", cast("Any", _nowhere))]),
    }
)

# What is loaded by now stays for good; to walk it again and again would stop all requests for a tenth of a second.
gc.collect()
gc.freeze()
keep_memory()
