"""JSON of many values at once, column by column, each column's texts one after the other in one buffer.

An object for each of thousands of readings would take seconds, and a text for each of their members most of the time
that the lake takes to find them.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from twins.graphql.planner import Chosen

_COMMA = ord(",")


def texts_of_equal_length(text: np.ndarray) -> pa.BinaryArray:
    """The rows of an array of bytes [rows, length]."""
    rows, length = text.shape
    return _texts(np.arange(rows + 1) * length, text)


def numbers(values: np.ndarray) -> pa.BinaryArray:
    """NaN and infinity are written as null."""
    text = np.frombuffer(orjson.dumps(np.ascontiguousarray(values), option=orjson.OPT_SERIALIZE_NUMPY), np.uint8)[1:-1]
    commas = text == _COMMA
    before = np.flatnonzero(commas)
    ends = [before - np.arange(len(before)), [len(text) - len(before)]] if len(values) else []
    return _texts(np.concatenate([[0], *ends]), text[~commas])


def objects(chosen: Chosen, lengths: Sequence[int], value: Callable[[str, Chosen | None], pa.Array]) -> list[bytes]:
    """Objects with commas between them, in each text so many; `value` tells a member of all of them."""
    pieces: list[pa.Array | bytes] = [b"{"]
    for number, (key, name, inside) in enumerate(chosen.members):
        pieces[-1] += f'{"," if number else ""}"{key}":'.encode()
        if name == "__typename":
            pieces[-1] += f'"{chosen.type}"'.encode()
        else:
            pieces += [value(name, inside), b""]
    pieces[-1] += b"},"
    pieces[0] = pa.repeat(pa.scalar(pieces[0], pa.binary()), sum(lengths))
    _, offsets, text = pc.binary_join_element_wise(*pieces, b"").buffers()
    bounds = np.frombuffer(offsets, np.int32)[np.cumsum([0, *lengths])].tolist()
    whole = memoryview(text)
    # Without the comma behind the last.
    return [bytes(whole[begin : max(begin, end - 1)]) for begin, end in itertools.pairwise(bounds)]


def _texts(bounds: np.ndarray, text: np.ndarray) -> pa.BinaryArray:
    buffers = [None, pa.py_buffer(bounds.astype(np.int32)), pa.py_buffer(np.ascontiguousarray(text))]
    return pa.Array.from_buffers(pa.binary(), len(bounds) - 1, buffers)
