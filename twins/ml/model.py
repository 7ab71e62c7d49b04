"""A trained fleet model as plain numbers and UBJ boosters, and its one container: never pickle.

Container: the ASCII mark `TWINS-MODEL-1\\n`, the length of a JSON header (8 bytes, big endian), the header, then the
boosters one after the other. Equal models have equal bytes.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import orjson

from twins.exceptions import ModelRefused
from twins.ml.context import NOTHING, Context
from twins.ml.features import Indices
from twins.ml.lives import Columns, Floats
from twins.ml.regimes import Normaliser

_MARK = b"TWINS-MODEL-1\n"


@dataclass(frozen=True)
class Band:
    """Conformal interval of life left by predicted level: what is added to a prediction for p10 and p90."""

    levels: list[float]
    low: list[float]
    high: list[float]

    def around(self, predicted: Floats, horizon: float) -> tuple[Floats, Floats]:
        """p10 and p90 of life left [rows], between 0 and the horizon and on either side of the prediction."""
        low = np.interp(predicted, self.levels, self.low)
        high = np.interp(predicted, self.levels, self.high)
        return np.clip(predicted + low, 0.0, predicted), np.clip(predicted + high, predicted, horizon)


@dataclass(frozen=True)
class FleetModel:
    """All that is needed to predict from readings; see the modules of its parts for what they mean."""

    columns: Columns
    joined: int
    """Steps of the grid that make one row of the features."""
    horizon: float
    """Planning horizon in life units: beyond it the answer is `more than this`."""
    horizons: list[float]
    """Horizons of the failure probabilities, ascending."""
    calibration: list[list[float]]
    """Per horizon slope and intercept on the log-odds of its booster."""
    normaliser: Normaliser
    indices: Indices
    band: Band
    context: Context
    """What is known of lives beside their readings and is used."""
    reference: Floats
    """[borders, measurements] of what was learned from, see `drift`; none in models trained before it was kept."""
    life_left: tuple[bytes, ...]
    """Boosters whose mean is life left."""
    failure: tuple[bytes, ...]
    """Per horizon a booster of the log-odds of failing within it."""


def dump_model(model: FleetModel) -> bytes:
    """One container of bytes."""
    header = {
        field.name: _plain(getattr(model, field.name))
        for field in fields(model)
        if field.name not in {"life_left", "failure"}
    }
    header["life_left"] = [len(booster) for booster in model.life_left]
    header["failure"] = [len(booster) for booster in model.failure]
    text = orjson.dumps(header, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_SORT_KEYS)
    return b"".join([_MARK, len(text).to_bytes(8, "big"), text, *model.life_left, *model.failure])


def load_model(content: bytes, *, sha256: str) -> FleetModel:
    """The model of a container; raises ModelRefused when it is not the one whose hash was stored."""
    if hashlib.sha256(content).hexdigest() != sha256 or not content.startswith(_MARK):
        raise ModelRefused("The stored model is not the one that was trained (its SHA-256 differs): train it again.")
    start = len(_MARK) + 8
    end = start + int.from_bytes(content[len(_MARK) : start], "big")
    header = orjson.loads(content[start:end])
    boosters = []
    for length in [*header["life_left"], *header["failure"]]:
        boosters.append(content[end : end + length])
        end += length
    count = len(header["life_left"])
    columns = header["columns"]
    return FleetModel(
        columns=Columns(tuple(columns["measurements"]), tuple(columns["settings"]), columns["step"]),
        joined=header["joined"],
        horizon=header["horizon"],
        horizons=header["horizons"],
        calibration=header["calibration"],
        # Models that were trained before these were kept let everything pass.
        normaliser=_arrays(Normaliser, _everything_passes(len(columns["measurements"])) | header["normaliser"]),
        indices=_arrays(Indices, header["indices"]),
        band=Band(**header["band"]),
        # Models that were trained before these were kept have none.
        context=Context(**header["context"]) if "context" in header else NOTHING,
        reference=np.array(header.get("reference", []), np.float64),
        life_left=tuple(boosters[:count]),
        failure=tuple(boosters[count:]),
    )


def _everything_passes(inputs: int) -> dict[str, Any]:
    return {"low": [-1e30] * inputs, "high": [1e30] * inputs, "run": [0.0] * inputs}


def _plain(value: Any) -> Any:
    return asdict(value) if hasattr(value, "__dataclass_fields__") else value


def _arrays(kind: Any, values: dict[str, Any]) -> Any:
    """Lists back to arrays where the dataclass says so."""
    array = "Floats"
    return kind(
        **{
            field.name: np.array(values[field.name], np.float64) if field.type == array else values[field.name]
            for field in fields(kind)
        }
    )


__all__ = ["Band", "FleetModel", "dump_model", "load_model"]
