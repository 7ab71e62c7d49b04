"""The host serves HTTP and WebSocket, the twins' below the same prefix in both."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "plantco.settings")
_http = get_asgi_application()

from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from django.urls import path  # noqa: E402

from plantco.celery import app as celery  # noqa: E402, F401
from twins.routing import websocket_urlpatterns  # noqa: E402

application = ProtocolTypeRouter(
    {"http": _http, "websocket": URLRouter([path("plant/twins/", URLRouter(websocket_urlpatterns))])}
)
