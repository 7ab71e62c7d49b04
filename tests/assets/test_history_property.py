"""Random programs of changes: afterwards every past instant reads as plain Python saw it then."""

from __future__ import annotations

import random
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assets import services as s
from assets.exceptions import AssetsError
from assets.history import as_of
from assets.models import Asset, AssetType, Design, Installation, Item, Relation, Sensor

TABLES: tuple[Any, ...] = (Asset, Item, Installation, Sensor, Relation)
START = datetime(2026, 1, 1, tzinfo=UTC)
DEEDS = (
    "create", "change", "move", "install", "replace", "remove", "relate", "retire", "measure", "delete", "bulk", "raw",
    "refused", "two",
)  # fmt: skip
Snapshot = dict[str, list[tuple[str, ...]]]


def seen() -> tuple[datetime, Snapshot]:
    """The register now, and the instant by the clock of the database."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        instant = cursor.fetchone()[0]
    return instant, {table.__name__: rows(table.objects.all()) for table in TABLES}


def rows(queryset: Any) -> list[tuple[str, ...]]:
    return [tuple(map(str, row)) for row in queryset.order_by("pk").values_list()]


class Program:
    """A tree of its own and what is done to it; what the rules refuse changes nothing."""

    def __init__(self, number: int) -> None:
        self.chance, self.count = random.Random(number), 0
        kind = AssetType.objects.get_or_create(code="kind", name="kind")[0]
        self.design = Design.objects.get_or_create(type=kind, code="D", name="D")[0]
        self.prefix = f"{Asset.objects.count()}-"
        self.create()

    def name(self) -> str:
        self.count += 1
        return f"{self.prefix}{self.count}"

    def asset(self) -> Asset:
        return self.chance.choice(list(Asset.objects.filter(tag__startswith=self.prefix)))

    def instant(self) -> datetime:
        return START + timedelta(hours=self.count + self.chance.randrange(3))

    def item(self) -> Item:
        return s.create_items(items=[Item(design=self.design, serial_number=self.name())])[0]

    def create(self) -> None:
        under = self.asset() if self.count else None
        s.create_assets(rows=[s.NewAsset(tag=self.name(), name="n", level="system") for _ in range(2)], under=under)

    def change(self) -> None:
        asset = self.asset()
        asset.name, asset.attributes = self.name(), {"n": self.count}
        s.change_asset(asset=asset)

    def move(self) -> None:
        s.move_asset(asset=self.asset(), parent=self.chance.choice([None, self.asset()]))

    def install(self) -> None:
        wish = s.NewInstallation(asset=self.asset(), item=self.item(), start=self.instant())
        s.install_items(installations=[wish])

    def replace(self) -> None:
        s.replace_item(asset=self.asset(), item=self.item(), at=self.instant(), reason="worn")

    def remove(self) -> None:
        s.remove_item(asset=self.asset(), at=self.instant(), reason="worn")

    def relate(self) -> None:
        s.relate_assets(
            relations=[s.NewRelation(source=self.asset(), target=self.asset(), kind="feeds", start=self.instant())]
        )

    def retire(self) -> None:
        s.retire_assets(assets=[self.asset()], at=self.instant())

    def measure(self) -> None:
        asset = self.asset()
        s.create_sensors(sensors=[Sensor(asset=asset, name=self.name(), quantity="q") for _ in range(3)])

    def delete(self) -> None:
        Sensor.objects.filter(name__endswith=str(self.chance.randrange(10))).delete()
        Relation.objects.filter(source=self.asset()).delete()

    def bulk(self) -> None:
        Sensor.objects.filter(pk__gt=self.chance.randrange(50)).update(quantity=self.name())

    def raw(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute("UPDATE twins_assets_item SET manufacturer = %s WHERE id %% 2 = 0", [self.name()])

    def refused(self) -> None:
        with transaction.atomic():
            self.bulk()
            self.change()
            transaction.set_rollback(True)

    def two(self) -> None:
        """Several changes of one transaction are one instant."""
        with transaction.atomic():
            for _ in range(3):
                with suppress(AssetsError), transaction.atomic():
                    getattr(self, self.chance.choice(["create", "change", "move", "install", "bulk", "delete"]))()


@pytest.mark.django_db(transaction=True)
@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(number=st.integers(0, 2**32), deeds=st.lists(st.sampled_from(DEEDS), min_size=6, max_size=14))
def test_every_instant_of_a_program_reads_as_it_was_seen(number: int, deeds: list[str]) -> None:
    program, past = Program(number), []
    for deed in deeds:
        with suppress(AssetsError):
            getattr(program, deed)()
        past.append(seen())
    for instant, register in past:
        assert {table.__name__: rows(as_of(table, instant)) for table in TABLES} == register
