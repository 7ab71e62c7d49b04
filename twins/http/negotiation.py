"""Which of the media types we can write a client wants to read (RFC 9110, `Accept`)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from django.http.request import MediaType


@lru_cache(maxsize=256)
def preferred_type(accept: str | None, offered: tuple[str, ...]) -> str | None:
    """The offered type with the highest quality, None when none is acceptable.

    Of equals one that is named goes before one that a wildcard covers, then the earlier of `offered`. No header means
    that anything is welcome. Parameters of a range, such as a charset, are not compared: we write UTF-8 only.
    """
    ranges = [MediaType(text) for text in (accept or "*/*").split(",") if text.strip()]
    ranked = [(*_rank(kind, ranges), -place, kind) for place, kind in enumerate(offered)]
    quality, *_, best = max(ranked, default=(0.0, 0, 0, ""))
    return best if quality > 0 else None


def _rank(kind: str, ranges: Sequence[MediaType]) -> tuple[float, int]:
    """Quality and precision of the most precise range that covers the type."""
    covering = [(min(each.specificity, 2), each.quality) for each in ranges if each.match(kind)]
    precision, quality = max(covering, default=(0, 0.0))
    return quality, precision
