"""The one way from laid-out lives to columns a booster understands; training and prediction share it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from twins.ml.features import Indices, features
from twins.ml.lives import Bools, Columns, Floats, Grid, Ints
from twins.ml.regimes import Normaliser
from twins.ml.windows import window_mean

SMOOTHED = 10
"""Rows over which an input's part in an index is judged."""


@dataclass(frozen=True)
class Rows:
    """Which rows of a grid are rows of the features: the last of every `joined` steps of a life."""

    picked: Ints
    """[rows] index in the grid."""
    first: Ints
    """[rows] index among the picked of the first row of the same life."""


def pick_rows(grid: Grid, joined: int) -> Rows:
    """Every `joined` steps one row, and the newest of each life."""
    groups = -(-grid.bins // joined)
    change = (np.diff(groups) != 0) | (np.diff(grid.life) != 0)
    picked = np.flatnonzero(np.append(change, True)) if len(groups) else np.empty(0, np.int64)
    return Rows(picked, np.searchsorted(picked, grid.first[picked]))


def normalise(grid: Grid, rows: Rows, columns: Columns, joined: int, normaliser: Normaliser) -> Floats:
    """[rows, measurements] distance from what is usual, judged at every step and then joined.

    What cannot be a reading of its input, or has stood still for too long, counts as missing.
    """
    count = len(columns.measurements)
    values = np.where(spoiled(grid, columns, normaliser), np.nan, grid.values[:, :count])
    usual = normaliser.apply(values, grid.values[:, count:])
    return usual[rows.picked] if joined == 1 else window_mean(usual, grid.first, joined)[rows.picked]


def spoiled(grid: Grid, columns: Columns, normaliser: Normaliser) -> Bools:
    """[steps, measurements] what is there but must not be believed."""
    return normaliser.spoiled(np.ascontiguousarray(grid.values[:, : len(columns.measurements)]), grid.first)


def featurise(
    grid: Grid, rows: Rows, normalised: Floats, indices: Indices, asked: Ints | None = None
) -> tuple[Floats, list[int]]:
    """Features at the rows `asked` (None: at all) and the owner of each, see `features`."""
    return features(indices.of(normalised), rows.first, grid.age[rows.picked], indices.failing, asked)
