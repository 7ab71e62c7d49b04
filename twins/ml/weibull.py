"""Weibull lives by maximum likelihood, right-censored, and how much longer one group lives than another.

Log life is linear in what is known of an item: log t = x b + sigma e, where e has the smallest-extreme-value
distribution (Meeker and Escobar 1998, ch. 8). With a constant alone it is the Weibull distribution of shape 1/sigma and
scale exp(b); with a group beside it, exp of its weight is the ratio of lives. A few Newton steps do it, so that a page
need not wait for a library that takes seconds to load.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy  # its parts load when they are used

from twins.ml.lives import Bools, Floats

_STEPS = 100
_CLOSE = 1e-9


@dataclass(frozen=True)
class Weibull:
    """A distribution of lives, with 90 % intervals on the log scale."""

    shape: float
    """Below 1 they fail young, near 1 at random, above 1 they wear out."""
    shape_low: float
    shape_high: float
    scale: float
    """Life by which 63.2 % have failed, in life units."""
    scale_low: float
    scale_high: float

    @property
    def mean(self) -> float:
        """Mean life."""
        return float(self.scale * scipy.special.gamma(1 + 1 / self.shape))

    def life_at(self, failed: float) -> float:
        """Life by which this share has failed: 0.1 gives B10."""
        return float(self.scale * (-np.log1p(-failed)) ** (1 / self.shape))


def fit_weibull(life: Floats, failed: Bools, *, confidence: float = 0.9) -> Weibull | None:
    """The distribution of lives [n], of which `failed` [n] ended by failure and the rest are known to be longer.

    None when fewer than two failed, or all at the same age: nothing bounds the shape then.
    """
    if failed.sum() < 2 or np.ptp(life[failed]) <= 0:
        return None
    found = _fit(np.log(life), failed, np.ones((len(life), 1)))
    if found is None:
        return None
    (location, log_sigma), spread = found
    reach = float(scipy.special.ndtri((1 + confidence) / 2))
    around = np.sqrt(np.diag(spread)) * reach
    return Weibull(
        shape=float(np.exp(-log_sigma)),
        shape_low=float(np.exp(-log_sigma - around[1])),
        shape_high=float(np.exp(-log_sigma + around[1])),
        scale=float(np.exp(location)),
        scale_low=float(np.exp(location - around[0])),
        scale_high=float(np.exp(location + around[0])),
    )


def life_ratio(
    life: Floats, failed: Bools, group: Bools, *, confidence: float = 0.9
) -> tuple[float, float, float] | None:
    """How many times as long those in `group` [n] live as the others: estimate, low and high; None if it diverges.

    Both are taken to wear alike (one shape), which is what makes few failures enough.
    """
    terms = np.column_stack([np.ones(len(life)), group.astype(np.float64)])
    found = _fit(np.log(life), failed, terms)
    if found is None:
        return None
    weights, spread = found
    around = float(np.sqrt(spread[1, 1]) * scipy.special.ndtri((1 + confidence) / 2))
    return float(np.exp(weights[1])), float(np.exp(weights[1] - around)), float(np.exp(weights[1] + around))


def _fit(log_life: Floats, failed: Bools, terms: Floats) -> tuple[Floats, Floats] | None:
    """Weights, log sigma last, and their covariance; None when the likelihood has no maximum that can be reached."""
    died = failed.astype(np.float64)
    scatter = max(float(np.std(log_life)), 1e-3)
    point = np.append(np.linalg.lstsq(terms, log_life, rcond=None)[0], np.log(scatter))
    value = _likelihood(point, log_life, died, terms)
    for _ in range(_STEPS):
        slope, curve = _derivatives(point, log_life, died, terms)
        step = np.linalg.lstsq(curve, -slope, rcond=None)[0]
        if slope @ step <= 0:  # not uphill: far from the maximum the surface need not be concave
            step = slope / max(float(np.linalg.norm(slope)), 1.0)
        size = 1.0
        while size > 1e-12 and not (better := _likelihood(point + size * step, log_life, died, terms)) > value:
            size /= 2
        if size <= 1e-12:
            break
        gained, value, point = better - value, better, point + size * step
        if gained < _CLOSE * (1 + abs(value)) and np.abs(slope).max() < 1e-4 * len(died):
            break
    slope, curve = _derivatives(point, log_life, died, terms)
    if not np.isfinite(curve).all() or np.linalg.eigvalsh(-curve).min() <= 1e-9:
        return None
    return point, np.asarray(np.linalg.inv(-curve), np.float64)


def _likelihood(point: Floats, log_life: Floats, died: Floats, terms: Floats) -> float:
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        away = (log_life - terms @ point[:-1]) / np.exp(point[-1])
        return float(np.sum(died * (away - point[-1]) - np.exp(away)))


def _derivatives(point: Floats, log_life: Floats, died: Floats, terms: Floats) -> tuple[Floats, Floats]:
    sigma = np.exp(point[-1])
    away = (log_life - terms @ point[:-1]) / sigma
    risk = np.exp(away)
    slope = np.append(terms.T @ (risk - died) / sigma, np.sum(risk * away - died * (away + 1)))
    mixed = -terms.T @ (risk - died + away * risk) / sigma
    last = np.sum(died * away - risk * (away * away + away))
    curve = np.block([[-(terms.T * risk) @ terms / sigma**2, mixed[:, None]], [mixed[None, :], np.array([[last]])]])
    return slope, curve
