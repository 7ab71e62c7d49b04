"""What was decoded as one table, which is easier to compare than columns of numbers."""

from __future__ import annotations

import pyarrow as pa

from twins.sources import DecodedReadings

SCHEMA = pa.schema(
    [
        pa.field("sensor", pa.dictionary(pa.int32(), pa.string())),
        pa.field("time", pa.timestamp("us", tz="UTC")),
        pa.field("value", pa.float64()),
        pa.field("quality", pa.int32()),
    ]
)


def table_of(decoded: DecodedReadings) -> pa.Table:
    """The readings in SCHEMA, each with the name of its sensor as text."""
    code, time, value, quality = decoded.readings
    sensor = pa.DictionaryArray.from_arrays(pa.array(code, pa.int32()), decoded.spelt)
    instants = pa.array(time).view(pa.timestamp("us", tz="UTC"))
    return pa.Table.from_arrays([sensor, instants, pa.array(value), pa.array(quality)], schema=SCHEMA)
