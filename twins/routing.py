"""The WebSocket address of the plugin, to be mounted below the same prefix as its HTTP addresses.

URLRouter([path("plant/", URLRouter(websocket_urlpatterns))])
"""

from __future__ import annotations

from typing import Any, cast

from channels.auth import AuthMiddlewareStack
from django.db import InterfaceError, OperationalError
from django.urls import path

from twins.graphql.consumers import GraphQLSocket

_socket = GraphQLSocket()
_with_session = AuthMiddlewareStack(_socket)


async def _subscriptions(scope: Any, receive: Any, send: Any) -> None:
    if "user" in scope:  # the host has looked already
        return await _socket(scope, receive, send)
    try:
        await _with_session(scope, receive, send)
    except (OperationalError, InterfaceError):
        # The session cannot be read; once the socket is open, it deals with that itself.
        await send({"type": "websocket.close", "code": 1013})


# Django's types know views only; Channels routes to applications with the same patterns.
websocket_urlpatterns = [path("graphql/", cast("Any", _subscriptions))]
