"""Four or eight bytes of an array as one number, for compiled loops: byte by byte takes several times as long.

Importing this loads the compiler.
"""

from __future__ import annotations

import sys
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.extending import intrinsic


def _wide(bits: int) -> Any:
    @intrinsic
    def read(context, data, at):  # type: ignore[no-untyped-def]
        def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            array = context.make_array(signature.args[0])(context, builder, arguments[0])
            place = builder.gep(array.data, [arguments[1]])
            word = builder.load(builder.bitcast(place, ir.IntType(bits).as_pointer()))
            word.align = 1
            if sys.byteorder == "big":
                word = builder.bswap(word)
            return builder.zext(word, ir.IntType(64)) if bits < 64 else word

        return types.uint64(data, types.int64), generate

    return read


four, eight = _wide(32), _wide(64)
"""`four(data, at)`, `eight(data, at)`: bytes from `at` on of a contiguous array of bytes, the first the lowest, as
uint64. Nobody looks whether so many are there."""
