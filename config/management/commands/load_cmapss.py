"""`load_cmapss DIR`: NASA's C-MAPSS engines as a register, their flights as readings, their ends as failures.

Everything is read and checked before anything is written. A repeated load changes nothing, an interrupted one is
completed: the register is written in one transaction, and every batch of readings has a key of its own.
"""

from __future__ import annotations

import hashlib
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from assets.models import (
    Asset,
    AssetType,
    Design,
    EventKind,
    FailureCode,
    Item,
    Level,
    MaintenanceEvent,
    Sensor,
    SensorRole,
)
from assets.services import (
    NewAsset,
    NewInstallation,
    change_asset,
    create_assets,
    create_items,
    create_sensors,
    install_items,
    record_events,
    save_record,
)
from config.cmapss import COUNTER, CYCLE, PARTS, SENSORS, SETTINGS, CmapssError, Engine, Fleet, read_fleets
from twins.services.ingestion import accept_readings

_BEGIN = datetime(2000, 1, 1, tzinfo=UTC)
_FLIGHT = timedelta(hours=1)
"""The files count cycles and know no clock; an hour each keeps the lake's days few."""
_BATCH = 200_000
_LOADED = "loaded_sha256"


class Command(BaseCommand):
    help = "Load NASA C-MAPSS data sets (train_FD001.txt, test_FD001.txt, ..., also .gz) from a folder."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("folder", type=Path)

    def handle(self, *, folder: Path, **_: Any) -> None:
        try:
            fleets = read_fleets(folder)
        except CmapssError as error:
            raise CommandError(str(error)) from error
        for fleet in fleets:
            self.stdout.write(load_fleet(fleet))


def load_fleet(fleet: Fleet) -> str:
    """Load one data set and say what was done; raises CommandError when another content has its name."""
    content = _content_hash(fleet)
    root = Asset.objects.roots().filter(tag=fleet.name).first()
    loaded = None if root is None else root.attributes.get(_LOADED)
    if root is not None and root.attributes.get("sha256") != content:
        raise CommandError(f"There is an asset {fleet.name} that was not loaded from these files: rename it first.")
    if loaded == content:
        return f"{fleet.name} is loaded already; nothing was changed."
    if root is None:
        root = _create_register(fleet, content)
    count = _send_readings(fleet, root, content)
    root.attributes[_LOADED] = content
    change_asset(asset=root)
    return f"{fleet.name}: {len(fleet.failed)} engines that failed, {len(fleet.running)} that run, {count} readings."


def _engines(fleet: Fleet) -> Iterator[tuple[str, Engine, bool]]:
    """Tag, engine and whether it failed."""
    for engine in fleet.failed:
        yield f"{fleet.name}-F{engine.number:03}", engine, True
    for engine in fleet.running:
        yield f"{fleet.name}-R{engine.number:03}", engine, False


@transaction.atomic
def _create_register(fleet: Fleet, content: str) -> Asset:
    kind, _ = AssetType.objects.get_or_create(code="turbofan", defaults={"name": "Turbofan engine"})
    design = save_record(
        record=Design(
            type=kind,
            code=f"turbofan-{fleet.name}",
            name=f"Turbofan of {fleet.name}",
            life_unit=CYCLE,
        )
    )
    save_record(record=FailureCode(design=design, code="degradation"))
    rows = [
        NewAsset(
            tag=fleet.name,
            name=f"Fleet {fleet.name}",
            level=Level.SYSTEM,
            attributes={"source": "NASA C-MAPSS", "sha256": content},
        )
    ]
    for tag, engine, _ in _engines(fleet):
        rows.append(
            NewAsset(tag=tag, name=f"Engine {engine.number}", level=Level.PRODUCT, parent=fleet.name, design=design)
        )
        rows.extend(NewAsset(tag=f"{tag}-{part}", name=part, level=Level.PART, parent=tag) for part in PARTS)
    assets = create_assets(rows=rows)
    create_sensors(sensors=[sensor for tag, _, _ in _engines(fleet) for sensor in _sensors(tag, assets)])
    _install(fleet, design, assets)
    return assets[fleet.name]


def _sensors(tag: str, assets: dict[str, Asset]) -> Iterator[Sensor]:
    for part, name, quantity, unit in SENSORS:
        yield Sensor(asset=assets[f"{tag}-{part}"], name=name, quantity=quantity, unit=unit)
    for name, quantity, unit in SETTINGS:
        yield Sensor(asset=assets[tag], name=name, quantity=quantity, unit=unit, role=SensorRole.SETTING)
    yield Sensor(asset=assets[tag], name=COUNTER, quantity="flights", unit=CYCLE, role=SensorRole.USAGE)


def _install(fleet: Fleet, design: Design, assets: dict[str, Asset]) -> None:
    """Each engine is an item from its first flight on; the failed ones were taken out after their last."""
    items = create_items(items=[Item(design=design, serial_number=tag) for tag, _, _ in _engines(fleet)])
    wishes, failures = [], []
    for (tag, engine, failed), item in zip(_engines(fleet), items, strict=True):
        last = _time(len(engine.rows))
        end = last + _FLIGHT if failed else None
        reason = "failure" if failed else ""
        wishes.append(NewInstallation(asset=assets[tag], item=item, start=_time(1), end=end, removal_reason=reason))
        if failed:
            failures.append(
                MaintenanceEvent(
                    asset=assets[tag], item=item, kind=EventKind.FAILURE, mode="degradation", started_at=last
                )
            )
    install_items(installations=wishes)
    record_events(events=failures)


def _send_readings(fleet: Fleet, root: Asset, content: str) -> int:
    sensors = _sensor_keys(root)
    count, tables = 0, []
    for tag, engine, _ in _engines(fleet):
        tables.append(_readings(engine, sensors[tag]))
        if sum(table.num_rows for table in tables) >= _BATCH:
            count += _accept(tables, fleet, content, tag)
            tables = []
    return count + (_accept(tables, fleet, content, "end") if tables else 0)


def _accept(tables: Sequence[pa.Table], fleet: Fleet, content: str, until: str) -> int:
    key = f"{fleet.name}/{content[:16]}/{until}"
    acceptance = accept_readings(readings=pa.concat_tables(tables), source="load_cmapss", key=key)
    if acceptance.rejects:
        raise CommandError(f"{fleet.name}: reading {acceptance.rejects[0].index}: {acceptance.rejects[0].reason}.")
    return acceptance.accepted


def _sensor_keys(root: Asset) -> dict[str, list[int]]:
    """Per engine the lake keys of settings, sensors and counter, in this order."""
    columns = ("asset__tag", "asset__parent__tag", "name", "id", "asset__level")
    keys: dict[str, dict[str, int]] = {}
    for tag, parent, name, key, level in Sensor.objects.filter(asset__root=root).values_list(*columns):
        keys.setdefault(parent if level == Level.PART else tag, {})[name] = key
    names = [*(row[0] for row in SETTINGS), *(row[1] for row in SENSORS), COUNTER]
    return {tag: [known[name] for name in names] for tag, known in keys.items()}


def _readings(engine: Engine, sensors: list[int]) -> pa.Table:
    columns = [*engine.rows[:, 2:].T, engine.rows[:, 1]]
    begin = np.datetime64(_BEGIN.replace(tzinfo=None), "us")
    times = begin + engine.rows[:, 1].astype(np.int64) * np.timedelta64(_FLIGHT)
    count = len(times)
    return pa.table(
        {
            "sensor": pa.array(np.repeat(np.array(sensors, np.int32), count)),
            "time": pa.array(np.tile(times, len(sensors))).cast(pa.timestamp("us", "UTC")),
            "value": pa.array(np.concatenate(columns)),
            "quality": pa.array(np.zeros(count * len(sensors), np.int32)),
        }
    )


def _time(cycle: int) -> datetime:
    return _BEGIN + cycle * _FLIGHT


def _content_hash(fleet: Fleet) -> str:
    digest = hashlib.sha256()
    for tag, engine, _ in _engines(fleet):
        digest.update(tag.encode())
        digest.update(np.ascontiguousarray(engine.rows).tobytes())
    return digest.hexdigest()
