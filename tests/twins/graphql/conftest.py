"""A small plant with everything a twin can show, and a way to ask the schema as a principal would.

Models are imported inside, because pytest reads this file before Django has its settings.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from asgiref.sync import async_to_sync

if TYPE_CHECKING:
    from assets.models import Asset, Sensor
    from twins.models import Assessment
    from twins.services.principals import Principal

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@dataclass
class Answer:
    """What came back, after JSON."""

    data: Any
    errors: list[str]
    raw: Any

    def __getitem__(self, name: str) -> Any:
        assert not self.errors, self.errors
        return self.data[name]


def _ask(query: str, *, principal: Principal | None = None, splice: bool = False, **variables: Any) -> Answer:
    from assets.permissions import Rights
    from twins.graphql.context import Context
    from twins.graphql.schema import schema
    from twins.services.principals import Principal

    reader = principal or Principal(user=object(), scopes=frozenset({"read"}), rights=Rights.all())
    context = Context(principal=reader, splice=splice, now=NOW)
    result: Any = async_to_sync(schema.execute)(query, variable_values=variables, context_value=context)
    errors = [error.message for error in result.errors or ()]
    return Answer(orjson.loads(orjson.dumps(result.data)), errors, result)


@pytest.fixture
def ask(db: None) -> Callable[..., Answer]:
    """Execute as one HTTP request would, and read the answer as a client does."""
    return _ask


class Make:
    """Rows of the register and of health, with what a test does not care about filled in."""

    now = NOW

    def asset(self, tag: str, level: str, parent: Asset | None = None, **fields: Any) -> Asset:
        from assets.services import NewAsset, create_assets

        row = NewAsset(tag=tag, level=level, **{"name": f"Asset {tag}", **fields})
        return create_assets(rows=[row], under=parent)[tag]

    def sensor(self, asset: Asset, name: str, **fields: Any) -> Sensor:
        from assets.models import Sensor

        return Sensor.objects.create(asset=asset, name=name, quantity="temperature", unit="Cel", **fields)

    def assessment(self, asset: Asset, health: float, **fields: Any) -> Assessment:
        from twins.models import Assessment

        values = {"source": "model", "coverage": 0.75, "assessed_at": NOW, **fields}
        return Assessment.objects.create(asset=asset, health=health, **values)

    def estimate(self, asset: Asset, health: float) -> Assessment:
        """An assessment by a model, with everything filled in."""
        return self.assessment(
            asset,
            health,
            drivers=[{"input": "T1", "points": -4.5}],
            failure_probabilities=[{"horizon": 30, "probability": 0.25}],
            data_time=NOW,
            rul_p10=10.0,
            rul_p50=20.5,
            rul_p90=40.0,
            rul_unit="d",
        )

    def design(self) -> Any:
        from assets.models import AssetType, Design, FailureCode

        rolling = AssetType.objects.create(code="rolling", name="What rolls")
        kind = AssetType.objects.create(code="bearing", name="Rolling bearing", parent=rolling)
        FailureCode.objects.create(type=rolling, code="lubrication")
        FailureCode.objects.create(type=rolling, code="overload", kind="cause")
        design = Design.objects.create(type=kind, code="6205", name="Deep groove", parameters={"bore": 25.0})
        FailureCode.objects.create(design=design, code="spalling")
        return design

    def history(self, part: Asset, design: Any) -> None:
        """An item installed nine days ago, an inspection `criticality` hours ago and a failure now."""
        from django.db.backends.postgresql.psycopg_any import DateTimeTZRange

        from assets.models import Installation, Item, MaintenanceEvent

        item = Item.objects.create(design=design, serial_number=f"SN-{part.tag}", build={"batch": "a"})
        Installation.objects.create(asset=part, item=item, period=DateTimeTZRange(NOW - timedelta(days=9), None))
        inspected = NOW - timedelta(hours=part.criticality)
        MaintenanceEvent.objects.create(asset=part, kind="inspection", started_at=inspected)
        MaintenanceEvent.objects.create(asset=part, kind="failure", mode="spalling", started_at=NOW)


@pytest.fixture
def make(db: None) -> Make:
    return Make()


@pytest.fixture
def plant(make: Make) -> dict[str, Asset]:
    """PLANT (system) > GT1, GT2 (products) > B1 to B3 (parts), each part with two sensors, an item and two events.

    B1 is at 80.5 and B2 at 70.5, which the products take over; B3 and PLANT have not been assessed.
    """
    assets = {"PLANT": make.asset("PLANT", "system", name='Kraftwerk "Süd"\n')}
    design = make.design()
    for product in ("GT1", "GT2"):
        assets[product] = make.asset(product, "product", assets["PLANT"])
        for number in (1, 2, 3):
            tag = f"{product}-B{number}"
            assets[tag] = make.asset(tag, "part", assets[product], criticality=number)
            make.sensor(assets[tag], "T1")
            make.sensor(assets[tag], "T2")
            make.history(assets[tag], design)
            if number < 3:
                make.estimate(assets[tag], 90.5 - 10 * number)
        make.assessment(assets[product], 70.5, source="rollup", worst_asset=assets[f"{product}-B2"])
    return assets
