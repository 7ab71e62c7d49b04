"""A small plant with everything a twin can show, and a way to ask the schema as a principal would.

Models are imported inside, because pytest reads this file before Django has its settings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import copy
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


def as_floats(value: Any) -> Any:
    """What came out of JSON, with 1 as 1.0."""
    if isinstance(value, dict):
        return {name: as_floats(each) for name, each in value.items()}
    if isinstance(value, list):
        return [as_floats(each) for each in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


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
    from twins.graphql.answers import Operation
    from twins.graphql.context import Context
    from twins.graphql.execution import Execution
    from twins.graphql.schema import schema
    from twins.services.principals import Principal

    reader = principal or Principal(user=object(), scopes=frozenset({"read"}), rights=Rights.all())
    context = Context(principal=reader, now=NOW)
    if splice:
        execution = Execution(Operation(query, variables), context)
        async_to_sync(execution.run)()
        result: Any = execution.result
    else:
        result = async_to_sync(schema.execute)(query, variable_values=variables, context_value=context)
    errors = [error.message for error in result.errors or ()]
    return Answer(orjson.loads(orjson.dumps(result.data)), errors, result)


@pytest.fixture
def ask(db: None, settings: Any) -> Callable[..., Answer]:
    """Execute as one HTTP request would, and read the answer as a client does, however busy the machine is."""
    settings.TWINS = {**settings.TWINS, "QUERY_SECONDS": 3600}
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

    def histories(self, parts: list[Asset], design: Any) -> None:
        """Of each: an item installed nine days ago, an inspection `criticality` hours ago and a failure now."""
        from django.db.backends.postgresql.psycopg_any import DateTimeTZRange

        from assets.models import Installation, Item, MaintenanceEvent

        wishes = [Item(design=design, serial_number=f"SN-{part.tag}", build={"batch": "a"}) for part in parts]
        since = DateTimeTZRange(NOW - timedelta(days=9), None)
        placed = zip(parts, Item.objects.bulk_create(wishes), strict=True)
        Installation.objects.bulk_create(Installation(asset=part, item=item, period=since) for part, item in placed)
        happened = [(part, "inspection", "", NOW - timedelta(hours=part.criticality)) for part in parts]
        happened += [(part, "failure", "spalling", NOW) for part in parts]
        MaintenanceEvent.objects.bulk_create(
            MaintenanceEvent(asset=part, kind=kind, mode=mode, started_at=at) for part, kind, mode, at in happened
        )

    def surround(self, assets: dict[str, Asset], design: Any) -> None:
        """Relations, keys of other systems, attributes with units, an item of the past, newest readings.

        GT1 feeds GT2 and did cool it in February, both are redundant, GT1-B1 monitors GT2-B2.
        """
        from assets.models import AssetType, ExternalReference, Item, ParameterDefinition, Sensor
        from assets.services import NewRelation, change_assets, install_items, relate_assets
        from assets.services.placement import NewInstallation
        from twins.models import LatestReading

        rolling = AssetType.objects.get(code="rolling")
        ParameterDefinition.objects.create(type=rolling, subject="asset", name="power", kind="number", unit="kW")
        ParameterDefinition.objects.create(type=rolling, subject="asset", name="fits", kind="boolean")
        ParameterDefinition.objects.create(design=design, subject="asset", name="power", kind="number", unit="MW")
        first, second, third = (assets[f"GT1-B{number}"] for number in (1, 2, 3))
        first.type, first.attributes = design.type, {"power": 7, "site": 'Süd "1"', "fits": True, "odd": [1], "z": None}
        second.type, second.design, second.attributes = (
            design.type,
            design,
            {"power": 7.5, "fits": False, "more": 1e300},
        )
        third.status = "standby"
        change_assets(assets=[first, second, third])
        month = timedelta(days=30)
        edges = [("GT1", "feeds", "GT2", None), ("GT1", "cools", "GT2", NOW), ("GT2", "redundant_with", "GT1", None)]
        edges += [("GT1-B1", "monitors", "GT2-B2", None)]
        relate_assets(
            relations=[
                NewRelation(source=assets[one], target=assets[other], kind=kind, start=NOW - month, end=end, note=kind)
                for one, kind, other, end in edges
            ]
        )
        old = Item.objects.create(design=design, serial_number="SN-OLD", acceptance={"noise": 3.5}, retired_at=NOW)
        until = NOW - timedelta(days=9)
        wish = NewInstallation(asset=first, item=old, start=NOW - month, end=until, removal_reason="worn")
        install_items(installations=[wish])
        sensors = {f"{each.asset.tag} {each.name}": each for each in Sensor.objects.select_related("asset")}
        values = {"GT1-B1 T1": 7.0, "GT1-B2 T1": -2.5, "GT1-B3 T1": float("nan"), "GT2-B1 T1": float("inf")}
        for name, value in values.items():
            LatestReading.objects.create(sensor=sensors[name], time=NOW, value=value, quality=0, batch=1)
        named = {"asset": first, "item": old, "sensor": sensors["GT1-B1 T1"], "design": design}
        for number, (target, row) in enumerate(named.items()):
            ExternalReference.objects.create(system="ERP", key=f"ERP-{number}", **{target: row})
        ExternalReference.objects.create(system="ERP", kind="place", key="ERP-7", asset=first)


@pytest.fixture
def make(db: None) -> Make:
    return Make()


@pytest.fixture
def plant(make: Make) -> dict[str, Asset]:
    """A plant of the test's own, see `build`."""
    return build(make)


@pytest.fixture
def standing_plant(_standing_plant: dict[str, Asset], db: None) -> dict[str, Asset]:
    """The plant of `build`, built once for a module: each test goes back to it, and none commits."""
    return {tag: copy(asset) for tag, asset in _standing_plant.items()}


@pytest.fixture(scope="module")
def _standing_plant(django_db_setup: None, django_db_blocker: Any) -> Iterator[dict[str, Asset]]:
    from django.db import transaction

    with django_db_blocker.unblock():
        around = transaction.atomic()
        around._from_testcase = True  # type: ignore[attr-defined]
        with around:
            yield build(Make())
            transaction.set_rollback(True)


def build(make: Make) -> dict[str, Asset]:
    """PLANT (system) > GT1, GT2 (products) > B1 to B3 (parts), each part with two sensors, an item and two events.

    B1 is at 80.5 and B2 at 70.5, which the products take over; B3 and PLANT have not been assessed. `surround` says
    what else there is about them.
    """
    from assets.models import Sensor
    from assets.services import NewAsset, create_assets

    rows = [NewAsset(tag="PLANT", level="system", name='Kraftwerk "Süd"\n')]
    for product in ("GT1", "GT2"):
        rows.append(NewAsset(tag=product, level="product", name=f"Asset {product}", parent="PLANT"))
        rows += [
            NewAsset(tag=tag, level="part", name=f"Asset {tag}", parent=product, criticality=number)
            for number in (1, 2, 3)
            if (tag := f"{product}-B{number}")
        ]
    assets, design = create_assets(rows=rows), make.design()
    parts = [asset for asset in assets.values() if asset.level == "part"]
    Sensor.objects.bulk_create(
        Sensor(asset=part, name=name, quantity="temperature", unit="Cel") for part in parts for name in ("T1", "T2")
    )
    make.histories(parts, design)
    for product in ("GT1", "GT2"):
        for number in (1, 2):
            make.estimate(assets[f"{product}-B{number}"], 90.5 - 10 * number)
        make.assessment(assets[product], 70.5, source="rollup", worst_asset=assets[f"{product}-B2"])
    make.surround(assets, design)
    return assets
