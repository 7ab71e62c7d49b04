"""What one GraphQL operation carries: who asks, the loaders that batch its reads, and the request it came with."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Self

import strawberry
from django.db.models import Q
from django.utils import timezone

from twins.graphql.loaders import Loaders
from twins.services.principals import Places, Principal, places, visible_assets


@dataclass
class Context:
    """The context value of one execution.

    `request` is the HTTP request or the WebSocket consumer.
    """

    principal: Principal
    loaders: Loaders = field(default=None)  # type: ignore[assignment]
    request: Any = None
    now: datetime = field(default_factory=timezone.now)
    cost: dict[str, int] | None = None
    """{"requested", "maximum"} in fields, known once the operation was checked."""
    spliced: dict[str, Any] = field(default_factory=dict)
    """Root fields that are answered already, by their name in the answer: ready-made JSON, or an error."""

    def __post_init__(self) -> None:
        if self.loaders is None:
            self.loaders = Loaders(self.principal)

    def fresh(self) -> Self:
        """The same context with empty loaders: one for each operation and for each answer of a subscription."""
        return replace(self, loaders=Loaders(self.principal), now=timezone.now())

    def asked_by(self, principal: Principal) -> Self:
        """The same context for somebody who was looked up again: of what was read before only failures are left."""
        failed = {name: found for name, found in self.spliced.items() if isinstance(found, Exception)}
        return replace(self, principal=principal, loaders=Loaders(principal), spliced=failed)

    def visible(self) -> Q:
        """The predicate on Asset of what may be read; raises AccessDenied."""
        return visible_assets(self.principal)

    def places(self) -> Places | None:
        """Where all of it lies, if that is known and in few places."""
        return places(self.principal)


Info = strawberry.Info[Context, None]
