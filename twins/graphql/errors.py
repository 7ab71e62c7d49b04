"""What a client learns of an error: what was raised on purpose in full, anything else as an id that the log knows."""

from __future__ import annotations

import logging
from uuid import uuid4

from graphql import GraphQLError
from strawberry.extensions import MaskErrors

from assets.exceptions import AssetsError
from twins.exceptions import AccessDenied, QueryTooSlow, TwinsError

logger = logging.getLogger("twins.graphql")

_CODES = {AccessDenied: "FORBIDDEN", QueryTooSlow: "TOO_SLOW"}
_ON_PURPOSE = (TwinsError, AssetsError, GraphQLError)


def is_unexpected(error: GraphQLError) -> bool:
    """Whether the message may say something that is not for the client."""
    original = error.original_error
    while isinstance(original, GraphQLError) and original.original_error is not None:
        original = original.original_error
    return original is not None and not isinstance(original, _ON_PURPOSE)


class ClientErrors(MaskErrors):
    """Masks unexpected errors and gives the expected ones a code."""

    def __init__(self) -> None:
        super().__init__(should_mask_error=lambda error: True)

    def anonymise_error(self, error: GraphQLError) -> GraphQLError:
        if not is_unexpected(error):
            return _with_code(error)
        reference = uuid4().hex[:12]
        logger.error("Error %s at %s", reference, error.path, exc_info=error.original_error)
        return GraphQLError(
            f"Something went wrong here; the log of the server knows it as {reference}.",
            nodes=error.nodes,
            source=error.source,
            positions=error.positions,
            path=error.path,
            extensions={"code": "INTERNAL", "reference": reference},
        )


def _with_code(error: GraphQLError) -> GraphQLError:
    for kind, code in _CODES.items():
        if isinstance(error.original_error, kind):
            error.extensions = {**(error.extensions or {}), "code": code}
    return error
