"""CSV readings: a first line with the names of the columns, commas between them, UTF-8, a decimal point.

Columns are the fields of a JSON row; a number is judged by its text, so that 1,5 and an empty cell are faults of their
row and never something else.
"""

from __future__ import annotations

import csv
import io

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from twins.exceptions import MalformedBody
from twins.sources.columns import missing, sensors, short, times
from twins.sources.decoded import MAX_ROWS, DecodedReadings, Finding, check_rows, gather
from twins.sources.tables import NAMES, check_names

_NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
_WHOLE = r"^-?[0-9]{1,10}$"
_LONGEST_HEAD = 1_000


def decode_csv(body: bytes) -> DecodedReadings:
    """The readings of a CSV body; raises MalformedBody when it is none, or its first line is not of readings."""
    body = body.removeprefix(b"\xef\xbb\xbf")
    check_names(_head(body))
    if body.count(b"\n") > 2 * MAX_ROWS + 2:
        raise MalformedBody(f"The body holds more than {MAX_ROWS} readings: send several bodies.")
    table = _texts(body)
    check_rows(table.num_rows)
    texts = {name: table[name].combine_chunks() for name in table.column_names}
    cells = {name: _filled(values) for name, values in texts.items()}
    names, sensor_finding = sensors(cells["sensor"], lambda row: cells["sensor"][row].as_py())
    time, time_finding = times(cells["time"], lambda row: cells["time"][row].as_py())
    value, value_finding = _numbers(cells["value"])
    quality, quality_finding = _qualities(cells.get("quality"), table.num_rows)
    return gather(
        names,
        time,
        value,
        quality,
        [sensor_finding, time_finding, value_finding, quality_finding],
        content=lambda row: orjson.dumps({n: texts[n][row].as_py() for n in NAMES if n in texts}).decode(),
    )


def _head(body: bytes) -> list[str]:
    line = body[: _LONGEST_HEAD + 1].split(b"\n", 1)[0]
    if len(line) > _LONGEST_HEAD:
        raise MalformedBody("The first line is too long: it names the columns sensor, time, value and quality.")
    try:
        return next(csv.reader(io.StringIO(line.decode())), [])
    except (UnicodeDecodeError, csv.Error):
        raise MalformedBody("The first line is not CSV in UTF-8: it names the columns, sensor,time,value.") from None


def _texts(body: bytes) -> pa.Table:
    try:
        return pa.csv.read_csv(
            pa.py_buffer(body),
            read_options=pa.csv.ReadOptions(use_threads=False),
            convert_options=pa.csv.ConvertOptions(
                column_types=dict.fromkeys(NAMES, pa.string()), strings_can_be_null=False
            ),
        )
    except pa.ArrowException as error:
        raise MalformedBody(f"The body is not CSV in UTF-8 ({str(error)[:200]}).") from None


def _filled(texts: pa.Array) -> pa.Array:
    """The texts, null where a cell is empty."""
    return pc.if_else(pc.equal(texts, ""), pa.scalar(None, pa.string()), texts)


def _numbers(texts: pa.Array) -> tuple[np.ndarray, Finding]:
    good = pc.match_substring_regex(texts, _NUMBER).fill_null(False)
    plain = pc.utf8_ltrim(pc.if_else(good, texts, "0"), "+")
    bad = ~good.to_numpy(zero_copy_only=False)

    def reason(row: int) -> str:
        value = texts[row].as_py()
        return missing("value", value) or f"value {short(value)} is not a number"

    return plain.cast(pa.float64()).to_numpy(), (bad, reason)


def _qualities(texts: pa.Array | None, rows: int) -> tuple[np.ndarray, Finding]:
    if texts is None or texts.null_count == rows:
        return np.zeros(rows, np.int32), (np.zeros(rows, bool), str)
    whole = texts.fill_null("0")
    numbers = pc.if_else(pc.match_substring_regex(whole, _WHOLE), whole, str(2**40)).cast(pa.int64()).to_numpy()
    bad = (numbers >= 2**31) | (numbers < -(2**31))
    column = np.where(bad, 0, numbers).astype(np.int32)
    return column, (bad, lambda row: f"quality {short(whole[row].as_py())} is not a whole number of 32 bits")
