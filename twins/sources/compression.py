"""Compressed bodies, opened a piece at a time and never further than a limit: what grows without end is refused."""

from __future__ import annotations

import pyarrow as pa

from twins.exceptions import MalformedBody

ENCODINGS = ("gzip", "zstd")
"""The values of Content-Encoding that are understood."""
_PIECE = 1 << 20


class TooLarge(MalformedBody):
    """The body is larger than allowed once it is opened."""


def decompress(body: bytes, encoding: str, *, limit: int) -> bytes:
    """The bytes within; raises TooLarge past `limit` of them, MalformedBody when they end early or are others."""
    if not body:
        raise MalformedBody(f"The body is not {encoding}, or ends before its end (it is empty).")
    pieces: list[bytes] = []
    size = 0
    try:
        with pa.CompressedInputStream(pa.BufferReader(body), encoding) as stream:
            while piece := stream.read(_PIECE):
                size += len(piece)
                if size > limit:
                    raise TooLarge(f"The body is larger than {limit} bytes once opened: send it in smaller parts.")
                pieces.append(piece)
    except (OSError, pa.ArrowInvalid) as error:
        raise MalformedBody(f"The body is not {encoding}, or ends before its end ({_short(error)}).") from None
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _short(error: Exception) -> str:
    return str(error).splitlines()[0][:120] if str(error) else type(error).__name__
