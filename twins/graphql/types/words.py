"""The register's sets of words as the schema has them, each described once, before any type uses it."""

from __future__ import annotations

import strawberry

from assets.models import AssetStatus, EventKind, Level, RelationKind, SensorRole
from twins.selectors.choices import Direction, TwinOrder

strawberry.enum(Level, name="Level", description="Level in the hierarchy; levels may repeat and nest.")
strawberry.enum(AssetStatus, name="AssetStatus", description="Whether an asset is in service.")
strawberry.enum(EventKind, name="EventKind", description="What kind of thing happened.")
strawberry.enum(RelationKind, name="RelationKind", description="Read as a sentence: source, kind, target.")
strawberry.enum(SensorRole, name="SensorRole", description="What a sensor is for.")
strawberry.enum(Direction, name="Direction", description="OUT: as the relation is read; IN: against it.")
strawberry.enum(TwinOrder, name="TwinOrderField", description="What twins can be ordered by.")

__all__ = ["AssetStatus", "Direction", "EventKind", "Level", "RelationKind", "SensorRole", "TwinOrder"]
