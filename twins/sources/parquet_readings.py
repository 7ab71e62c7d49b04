"""Parquet files of readings, opened in a cell: a page of a few bytes can claim to be gigabytes."""

from __future__ import annotations

from twins.exceptions import MalformedBody
from twins.sources import cell
from twins.sources.arrow_readings import read_stream
from twins.sources.decoded import DecodedReadings
from twins.sources.tables import from_table


def decode_parquet(body: bytes) -> DecodedReadings:
    """The readings of a Parquet file; raises MalformedBody when it is none, or not of readings."""
    if body[:4] != b"PAR1" or body[-4:] != b"PAR1":
        raise MalformedBody("The body is no Parquet file: it does not begin and end with PAR1.")
    return from_table(read_stream(cell.opened(body, "parquet")))
