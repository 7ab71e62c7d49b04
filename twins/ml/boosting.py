"""The one door to XGBoost, opened only when something is trained or predicted: everything else runs without it."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from twins.exceptions import PredictionUnavailable
from twins.ml.lives import Floats

_TREES = {
    "tree_method": "hist",
    "max_bin": 64,
    "eta": 0.03,
    "max_depth": 5,
    "min_child_weight": 20,
    "subsample": 0.6,
    "colsample_bytree": 0.6,
    "reg_lambda": 5,
}
_FAILURE = {"objective": "binary:logistic", "eta": 0.06, "max_depth": 3, "base_score": 0.5}


def boost(columns: Floats, answers: Floats, *, failure: bool, seed: int, rounds: int) -> bytes:
    """A booster of `answers` [rows] from `columns` [rows, features] as UBJ.

    `failure`: answers are 0 or 1 and the booster gives probabilities; else life left by squared error.
    """
    xgboost = _xgboost()
    data = xgboost.QuantileDMatrix(columns.astype(np.float32), answers, max_bin=_TREES["max_bin"], nthread=1)
    # Small fleets must still be able to split: a leaf needs 20 rows, but never more than a fiftieth of them.
    settings = {**_TREES, "min_child_weight": min(20.0, len(answers) / 50), "objective": "reg:squarederror"}
    if failure:
        settings |= _FAILURE | {"min_child_weight": min(4.0, len(answers) / 200)}
    booster = xgboost.train({**settings, "seed": seed, "nthread": 1}, data, rounds)
    return bytes(booster.save_raw("ubj"))


def evaluate(booster: bytes, columns: Floats, *, margin: bool = False) -> Floats:
    """[rows] predictions; with `margin`, log-odds of a failure booster."""
    data = _xgboost().DMatrix(columns.astype(np.float32), nthread=1)
    return np.asarray(_load(booster).predict(data, output_margin=margin), np.float64)


def contributions(booster: bytes, columns: Floats) -> Floats:
    """[rows, features + 1] exact TreeSHAP values (Lundberg et al. 2018); the last column is the fleet's mean."""
    data = _xgboost().DMatrix(columns.astype(np.float32), nthread=1)
    return np.asarray(_load(booster).predict(data, pred_contribs=True), np.float64)


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
