"""Decoders: bytes of one format in, columns of readings out, with a reason for every row that cannot be taken.

Promise: whatever the bytes are, a decoder answers in time linear in their number and in bounded memory, with readings,
with rejects, or with `MalformedBody`; it never guesses a time zone, a unit or a number. Reason: the same decoder serves
HTTP, a broker, a file and the edge. May not import Django, the settings, or anything above `twins.lake`.
"""

from twins.sources.arrow_readings import decode_arrow, decode_known_arrow
from twins.sources.compression import ENCODINGS, TooLarge, decompress
from twins.sources.csv_readings import decode_csv
from twins.sources.decoded import MAX_LISTED_REJECTS, MAX_ROWS, DecodedReadings, RejectedRows, digest_of
from twins.sources.json_readings import decode_json
from twins.sources.line_protocol import compile_loop, decode_lines
from twins.sources.ndjson_readings import decode_ndjson
from twins.sources.one_line import LineError, Series, parse_series
from twins.sources.packing import compile_packing, pack_faultless
from twins.sources.parquet_readings import decode_parquet

__all__ = [
    "ENCODINGS",
    "MAX_LISTED_REJECTS",
    "MAX_ROWS",
    "DecodedReadings",
    "LineError",
    "RejectedRows",
    "Series",
    "TooLarge",
    "compile_loop",
    "compile_packing",
    "decode_arrow",
    "decode_csv",
    "decode_json",
    "decode_known_arrow",
    "decode_lines",
    "decode_ndjson",
    "decode_parquet",
    "decompress",
    "digest_of",
    "pack_faultless",
    "parse_series",
]
