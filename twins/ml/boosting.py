"""The one door to XGBoost, opened only when something is trained or predicted: everything else runs without it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from twins.exceptions import PredictionUnavailable
from twins.ml.lives import Floats

Singles = npt.NDArray[np.float32]

_BINS = 64
_MANY = 100
"""Rows from which on explaining takes two threads."""
_FAILURE = {"objective": "binary:logistic", "eta": 0.06, "max_depth": 3, "base_score": 0.5}


@dataclass(frozen=True)
class Trees:
    """How trees are grown; the defaults hold for any fleet, tuning may find better ones for a certain fleet."""

    rate: float = 0.03
    """Share of each tree's answer that is taken."""
    depth: int = 5
    leaf: float = 20.0
    """Fewest rows of a leaf."""
    rows: float = 0.6
    """Share of the rows each tree sees."""
    columns: float = 0.6
    """Share of the columns each tree sees."""
    ridge: float = 5.0
    count: float = 1.0
    """Number of trees, as a multiple of what the number of rows suggests."""

    def settings(self, rows: int, *, failure: bool) -> dict[str, Any]:
        """The same in XGBoost's words, for so many rows."""
        # Small fleets must still be able to split: a leaf needs 20 rows, but never more than a fiftieth of them.
        chosen: dict[str, Any] = {
            "tree_method": "hist",
            "max_bin": _BINS,
            "eta": self.rate,
            "max_depth": self.depth,
            "min_child_weight": min(self.leaf, rows / 50),
            "subsample": self.rows,
            "colsample_bytree": self.columns,
            "reg_lambda": self.ridge,
            "objective": "reg:squarederror",
        }
        return chosen | _FAILURE | {"min_child_weight": min(4.0, rows / 200)} if failure else chosen


DEFAULT = Trees()


class Binned:
    """Columns [rows, features] cut into bins once, for all boosters that the same rows teach."""

    def __init__(self, columns: Floats | Singles) -> None:
        self._data = _xgboost().QuantileDMatrix(columns.astype(np.float32, copy=False), max_bin=_BINS, nthread=1)

    def boost(self, answers: Floats, *, failure: bool, seed: int, rounds: int, trees: Trees = DEFAULT) -> bytes:
        """A booster of `answers` [rows] as UBJ.

        `failure`: answers are 0 or 1 and the booster gives probabilities; else life left by squared error.
        """
        self._data.set_label(answers)
        settings = trees.settings(len(answers), failure=failure)
        booster = _xgboost().train({**settings, "seed": seed, "nthread": 1}, self._data, rounds)
        return bytes(booster.save_raw("ubj"))


def evaluate(booster: bytes, columns: Floats | Singles, *, margin: bool = False) -> Floats:
    """[rows] predictions; with `margin`, log-odds of a failure booster."""
    data = _xgboost().DMatrix(columns.astype(np.float32, copy=False), nthread=1)
    return np.asarray(_load(booster).predict(data, output_margin=margin), np.float64)


def contributions(booster: bytes, columns: Floats | Singles) -> Floats:
    """[rows, features + 1] exact TreeSHAP values (Lundberg et al. 2018); the last column is the fleet's mean.

    The dearest part of a prediction, so that many rows are shared by threads: every row is answered by itself.
    """
    model = _load(booster)

    def explained(rows: Floats | Singles) -> Floats:
        data = _xgboost().DMatrix(rows.astype(np.float32, copy=False), nthread=1)
        return np.asarray(model.predict(data, pred_contribs=True), np.float64)

    if len(columns) < _MANY:
        return explained(columns)
    with ThreadPoolExecutor(2) as pool:
        return np.concatenate(list(pool.map(explained, np.array_split(columns, 2))))


def version() -> str:
    """Version of the library."""
    return str(_xgboost().__version__)


@lru_cache(maxsize=256)
def _load(booster: bytes) -> Any:
    """Unpacking trees takes longer than asking them, so the last ones stay unpacked."""
    model = _xgboost().Booster({"nthread": 1})
    model.load_model(bytearray(booster))
    return model


def _xgboost() -> Any:
    try:
        import xgboost
    except Exception as error:  # XGBoostError when libomp is missing, ImportError when the package is
        raise PredictionUnavailable(
            f"XGBoost does not load ({str(error).splitlines()[0]}): install the package xgboost and, on macOS, "
            "libomp with `brew install libomp`; everything but prediction runs without it."
        ) from error
    return xgboost
