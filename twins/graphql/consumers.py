"""GraphQL over WebSocket: the graphql-transport-ws protocol as a plain ASGI application.

Closing codes are the protocol's: 4400 a message that is none, 4401 an operation before the acknowledgement, 4403 nobody
known or not allowed, 4406 another sub-protocol, 4408 no connection_init in time, 4409 an id in use, 4429 a second
connection_init; 1009 a message that is too long, 1013 the database is away. It is no Channels consumer, so the host's
channel layer is neither needed nor touched.
"""

from __future__ import annotations

import asyncio
import io
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Hashable, MutableMapping
from contextlib import aclosing, suppress
from importlib import import_module
from typing import Any
from uuid import uuid4

import orjson
from asgiref.sync import sync_to_async
from channels.auth import get_user
from channels.db import database_sync_to_async
from django.conf import settings as django_settings
from django.core.exceptions import DisallowedHost
from django.core.handlers.asgi import ASGIRequest
from django.db import InterfaceError, OperationalError, close_old_connections
from graphql import GraphQLError, get_operation_ast
from strawberry.schema.exceptions import InvalidOperationTypeError
from strawberry.types.graphql import OperationType

from twins.conf import settings
from twins.exceptions import AccessDenied, MalformedBody, TooManyRequests, TwinsError
from twins.graphql.answers import Answer, Operation
from twins.graphql.context import Context
from twins.graphql.documents import parsed
from twins.graphql.execution import Execution, resolved
from twins.graphql.hub import Hub
from twins.graphql.schema import schema
from twins.graphql.subscriptions import rendering
from twins.http.authentication import require, sent_token
from twins.http.bodies import read_json
from twins.http.origins import origin_matches
from twins.http.rate import spend_request
from twins.models.access import Scope
from twins.services.principals import Principal, visible_assets

PROTOCOL = "graphql-transport-ws"
INIT_TIMEOUT = 10.0
"""Seconds in which connection_init must come."""
MAX_OPERATIONS = 50
"""Operations of one socket at a time."""
MAX_ID = 200
"""Characters of an operation's id, which comes back with each of its answers."""
RECHECK = 60.0
"""Seconds after which a revoked token or an ended session closes its sockets."""

_log = logging.getLogger(__name__)
Message = MutableMapping[str, Any]


class _Closing(Exception):
    """The socket is to be closed with this code."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


class GraphQLSocket:
    """The ASGI application; one connection a call."""

    async def __call__(self, scope: Any, receive: Callable[[], Awaitable[Message]], send: Any) -> None:
        await _Connection(scope, receive, send).run()


class _Connection:
    """One socket from the handshake to its end."""

    def __init__(self, scope: Any, receive: Callable[[], Awaitable[Message]], send: Any) -> None:
        self._scope, self._receive, self._send = scope, receive, send
        self._principal: Principal | None = None
        self._authorization = ""
        self._operations: dict[str, asyncio.Task[None]] = {}
        self._guard: asyncio.Task[None] | None = None

    async def run(self) -> None:
        await self._receive()  # websocket.connect
        try:
            await self._accept()
            await self._converse()
        except _Closing as closing:
            await self._close(closing)
        finally:
            tasks = [*self._operations.values(), *([self._guard] if self._guard else [])]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _accept(self) -> None:
        if PROTOCOL not in self._scope.get("subprotocols", ()):
            await self._send({"type": "websocket.accept"})
            raise _Closing(4406, f"Subprotocol not acceptable: ask for {PROTOCOL}")
        await self._send({"type": "websocket.accept", "subprotocol": PROTOCOL})

    async def _close(self, closing: _Closing) -> None:
        with suppress(Exception):  # it may be gone already
            # A close frame has room for 123 bytes of reason.
            reason = closing.reason.encode()[:120].decode(errors="ignore")
            await self._send({"type": "websocket.close", "code": closing.code, "reason": reason})

    async def _converse(self) -> None:
        deadline = asyncio.get_running_loop().time() + INIT_TIMEOUT
        while (event := await self._next_event(deadline))["type"] != "websocket.disconnect":
            await self._handle(_message(event))

    async def _next_event(self, deadline: float) -> Message:
        """What the client says; raises _Closing when it is late to introduce itself or not welcome any more."""
        listening = asyncio.ensure_future(self._receive())
        awaited: set[asyncio.Future[Any]] = {listening} if self._guard is None else {listening, self._guard}
        patience = None if self._principal else max(deadline - asyncio.get_running_loop().time(), 0)
        try:
            await asyncio.wait(awaited, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
            if self._guard is not None and self._guard.done():
                self._guard.result()
            if not listening.done():
                raise _Closing(4408, "Connection initialisation timeout")
            return listening.result()
        finally:
            listening.cancel()

    async def _handle(self, message: dict[str, Any]) -> None:
        match message.get("type"):
            case "connection_init":
                await self._initialise(message)
            case "ping":
                await self._tell({"type": "pong"})
            case "pong":
                pass
            case "subscribe":
                await self._start(message)
            case "complete":
                if task := self._operations.pop(_id(message), None):
                    task.cancel()
            case other:
                raise _Closing(4400, f"Unknown message type {str(other)[:40]!r}")

    async def _initialise(self, message: dict[str, Any]) -> None:
        if self._principal is not None:
            raise _Closing(4429, "Too many initialisation requests")
        self._authorization = _authorization(message, self._scope)
        self._principal = await self._authenticate()
        self._guard = asyncio.create_task(self._keep_checking())
        await self._tell({"type": "connection_ack"})

    async def _authenticate(self) -> Principal:
        try:
            return await database_sync_to_async(_principal)(self._scope, self._authorization)
        except AccessDenied as error:
            raise _Closing(4403, str(error)) from None
        except (OperationalError, InterfaceError):
            raise _Closing(1013, "The store cannot be reached: connect again in some seconds") from None

    async def _keep_checking(self) -> None:
        while True:
            await asyncio.sleep(RECHECK)
            if self._principal is not None and self._principal.token is None and "session" in self._scope:
                # A new one: the session in the scope remembers what it read at the handshake.
                session = import_module(django_settings.SESSION_ENGINE).SessionStore(self._scope["session"].session_key)
                self._scope = {**self._scope, "session": session}
                self._scope["user"] = await get_user(self._scope)
            try:
                principal = await self._authenticate()
            except _Closing as closing:
                if closing.code == 4403:
                    raise
                continue
            # What is being answered was selected with the rights of the handshake.
            if self._principal is not None and principal.rights != self._principal.rights:
                raise _Closing(4403, "Your rights have changed: connect again")

    async def _start(self, message: dict[str, Any]) -> None:
        if self._principal is None:
            raise _Closing(4401, "Unauthorized")
        id_ = _id(message)
        if id_ in self._operations:
            raise _Closing(4409, f"Subscriber for {id_[:60]} already exists")
        try:
            if len(self._operations) >= MAX_OPERATIONS:
                raise MalformedBody(f"This socket runs {MAX_OPERATIONS} operations already: complete one first.")
            operation = Operation.of(message.get("payload"))
            await sync_to_async(spend_request)(self._principal)
        except (MalformedBody, TooManyRequests) as error:
            await self._tell({"id": id_, "type": "error", "payload": [{"message": str(error)}]})
            return
        self._operations[id_] = asyncio.create_task(self._run(id_, operation, self._principal))

    async def _run(self, id_: str, operation: Operation, principal: Principal) -> None:
        """One operation until it is complete, is refused, or the client has enough."""
        frame = '{"id":' + orjson.dumps(id_).decode() + ',"type":"%s","payload":%s}'
        last: Message = {"id": id_, "type": "complete"}
        try:
            async with aclosing(_answers(operation, principal)) as answers:
                async for answer in answers:
                    kind, payload = ("error", answer.errors) if answer.refused else ("next", answer.payload)
                    await self._send({"type": "websocket.send", "text": frame % (kind, payload)})
                    if answer.refused:
                        return
        except (TwinsError, GraphQLError) as error:
            last = {"id": id_, "type": "error", "payload": [{"message": str(error)}]}
        except OSError:
            return  # the client is gone
        except Exception as error:
            last = {"id": id_, "type": "error", "payload": [{"message": _masked(error)}]}
        finally:
            if self._operations.get(id_) is asyncio.current_task():
                del self._operations[id_]
        with suppress(OSError):
            await self._tell(last)

    async def _tell(self, message: Message) -> None:
        await self._send({"type": "websocket.send", "text": orjson.dumps(message).decode()})


async def _answers(operation: Operation, principal: Principal) -> AsyncGenerator[Answer, None]:
    # No request begins or ends here, so nothing else drops a connection that the database has closed.
    await database_sync_to_async(close_old_connections)()
    operation = await sync_to_async(resolved)(operation, principal)
    if _kind(operation.query, operation.name) is OperationType.SUBSCRIPTION:
        key = _execution_key(operation, principal)
        async with aclosing(Hub.current().subscribe(key, rendering(schema, operation, principal))) as answers:
            async for answer in answers:
                yield answer
        return
    execution = Execution(operation, Context(principal=principal))
    try:
        await execution.run({OperationType.QUERY, OperationType.MUTATION})
    except InvalidOperationTypeError:
        raise MalformedBody("The document holds no such operation, or several and no 'operationName'.") from None
    yield Answer.encoded(*execution.told())


def _execution_key(operation: Operation, principal: Principal) -> Hashable:
    """Equal for executions with equal answers: the operation, and what the principal may see."""
    variables = orjson.dumps(operation.variables, option=orjson.OPT_SORT_KEYS)
    return operation.query, operation.name, variables, visible_assets(principal).identity


def _kind(query: str, name: str | None) -> OperationType | None:
    """What sort of operation it is; None when it cannot be told, which the execution then explains."""
    try:
        operation = get_operation_ast(parsed(query).root, name)
    except (GraphQLError, RecursionError):
        return None
    return OperationType(operation.operation.value) if operation else None


def _message(event: Message) -> dict[str, Any]:
    text = event.get("text")
    if text is None:
        raise _Closing(4400, "WebSocket message type must be text")
    if len(text.encode(errors="surrogatepass")) > settings().QUERY_MAX_BYTES:
        raise _Closing(1009, f"A message has at most {settings().QUERY_MAX_BYTES} bytes")
    try:
        message = read_json(text.encode(), "message")
    except MalformedBody as error:
        raise _Closing(4400, str(error)) from None
    if not isinstance(message, dict):
        raise _Closing(4400, "WebSocket message must be a JSON object")
    return message


def _id(message: dict[str, Any]) -> str:
    id_ = message.get("id")
    if not isinstance(id_, str) or not 0 < len(id_) <= MAX_ID:
        raise _Closing(4400, f"The message needs an id of 1 to {MAX_ID} characters")
    return id_


def _authorization(message: dict[str, Any], scope: Any) -> str:
    """What the payload of connection_init says, else the header of the handshake."""
    payload = message.get("payload") or {}
    if not isinstance(payload, dict):
        raise _Closing(4400, "Invalid connection init payload")
    for name, value in payload.items():
        if name.lower() == "authorization" and isinstance(value, str):
            return value
    return dict(scope["headers"]).get(b"authorization", b"").decode("latin-1")


def _principal(scope: Any, authorization: str) -> Principal:
    """Who is behind the socket; raises AccessDenied. A cookie needs an Origin, and any Origin has to match."""
    principal = sent_token(authorization)
    if principal is None:
        principal = Principal.of_user(scope.get("user"))
        if not principal.is_anonymous and not _has_origin(scope):
            raise AccessDenied("Nothing says where the socket comes from: send its Origin, or use a token.")
    if _has_origin(scope) and not _same_origin(scope):
        raise AccessDenied("The Origin does not match: add it to ORIGINS in TWINS if that is meant.")
    require(principal, Scope.READ, Scope.WRITE)
    return principal.with_rights()


def _has_origin(scope: Any) -> bool:
    return any(name == b"origin" for name, _ in scope["headers"])


def _same_origin(scope: Any) -> bool:
    scheme = "https" if scope.get("scheme") == "wss" else "http"
    request = ASGIRequest({**scope, "type": "http", "method": "GET", "scheme": scheme}, io.BytesIO())
    try:
        return origin_matches(request)
    except DisallowedHost:
        return False


def _masked(error: Exception) -> str:
    reference = uuid4().hex[:12]
    _log.error("Error %s in an operation over WebSocket", reference, exc_info=error)
    return f"Something went wrong here; the log of the server knows it as {reference}."
