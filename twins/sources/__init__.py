"""Decoders: bytes of one format in, columns of readings out, with a reason for every row that cannot be taken.

Promise: whatever the bytes are, a decoder answers in time linear in their number, with readings, with rejects, or with
`MalformedBody`; it never guesses a time zone, a unit or a number. Reason: the same decoder serves HTTP, a broker, a
file and the edge. May not import Django, the settings, or anything above `twins.lake`.
"""

from twins.sources.decoded import MAX_LISTED_REJECTS, DecodedReadings, RejectedRows
from twins.sources.json_readings import MAX_ROWS, decode_json

__all__ = ["MAX_LISTED_REJECTS", "MAX_ROWS", "DecodedReadings", "RejectedRows", "decode_json"]
