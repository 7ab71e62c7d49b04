"""What the tests of the whole path ask of a running installation, in a process of its own: `python probe.py VERB`.

`seed` makes one part with 20 sensors and prints a token, their UUIDs and their lake keys; `readings` prints every
reading of the lake, `latest` the newest of each sensor;
`stored` prints the keys of all batches, and how many readings lie more than once in live files and hot batches.
The installation is the one that TWINS_DATA names.
"""

# Models can only be imported after setup.
# ruff: noqa: E402
from __future__ import annotations

import json
import os
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

import django

django.setup()

import pyarrow.parquet as pq
from django.db import connection, transaction

from assets.models import Level, Sensor
from assets.services import NewAsset, create_assets, create_sensors
from twins.conf import settings
from twins.models import Batch, LakeFile, Scope
from twins.models.ingestion import Dataset, FileState
from twins.selectors.readings import latest_readings, scan_readings
from twins.selectors.view import read_body
from twins.services.tokens import create_token


def seed() -> dict[str, object]:
    tree = create_assets(
        rows=[
            NewAsset(tag="K1", name="Kill test", level=Level.SYSTEM),
            NewAsset(tag="K1-P", name="Pump", level=Level.PRODUCT, parent="K1"),
            NewAsset(tag="K1-P-B", name="Bearing", level=Level.PART, parent="K1-P"),
        ]
    )
    sensors = create_sensors(
        sensors=[Sensor(asset=tree["K1-P-B"], name=f"s{i}", quantity="temperature", unit="Cel") for i in range(20)]
    )
    _, token = create_token(name="kill test", scopes=[Scope.INGEST, Scope.READ])
    return {
        "token": token,
        "sensors": [str(sensor.uuid) for sensor in sensors],
        "keys": [sensor.pk for sensor in sensors],
    }


def readings() -> list[list[object]]:
    uuids = {sensor.id: str(sensor.uuid) for sensor in Sensor.objects.all()}
    table = scan_readings(sensors=sorted(uuids))
    columns = (table["sensor"].to_pylist(), table["time"].to_pylist(), table["value"].to_pylist())
    return [[uuids[sensor], time.isoformat(), value] for sensor, time, value in zip(*columns, strict=True)]


def latest() -> dict[str, list[object]]:
    found = latest_readings(Sensor.objects.values_list("pk", flat=True))
    uuids = dict(Sensor.objects.values_list("pk", "uuid"))
    return {str(uuids[key]): [row.time.isoformat(), row.value] for key, row in found.items()}


@transaction.atomic
def stored() -> dict[str, object]:
    """Counted at one instant, and before any merging, which would hide what is there twice."""
    with connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    root, triples = settings().LAKE, Counter[tuple[object, ...]]()
    for file in LakeFile.objects.filter(state=FileState.LIVE, dataset=Dataset.RAW):
        table = pq.read_table(root / file.path, partitioning=None)
        triples.update(zip(*(table[name].to_pylist() for name in ("sensor", "time", "batch")), strict=True))
    for batch in Batch.objects.filter(compacted_at__isnull=True):
        table = read_body(batch.landing, batch.body)
        triples.update(
            (sensor, time, batch.pk)
            for sensor, time in zip(table["sensor"].to_pylist(), table["time"].to_pylist(), strict=True)
        )
    keys = list(Batch.objects.order_by("key").values_list("key", flat=True))
    return {"keys": keys, "doubled": sum(count > 1 for count in triples.values()), "readings": len(triples)}


if __name__ == "__main__":
    print(json.dumps({"seed": seed, "readings": readings, "latest": latest, "stored": stored}[sys.argv[1]]()))
