"""The WebSocket address of the plugin, to be mounted below the same prefix as its HTTP addresses.

URLRouter([path("plant/", URLRouter(websocket_urlpatterns))])
"""

from __future__ import annotations

from typing import Any, cast

from channels.auth import AuthMiddlewareStack
from django.urls import path

from twins.graphql.consumers import GraphQLSocket

_socket = GraphQLSocket()
_with_session = AuthMiddlewareStack(_socket)


async def _subscriptions(scope: Any, receive: Any, send: Any) -> None:
    # A host that already knows the user is not asked to look again.
    await (_socket if "user" in scope else _with_session)(scope, receive, send)


# Django's types know views only; Channels routes to applications with the same patterns.
websocket_urlpatterns = [path("graphql/", cast("Any", _subscriptions))]
