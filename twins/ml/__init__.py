"""Health learned from readings and recorded failures: features, regimes, training, prediction, explanation, ageing.

Promise: Arrow and numpy in, frozen dataclasses out; features use the past only; the same data, seed, thread count and
library versions give the same model bytes. Reason: the same functions run in a worker, at the edge and in a notebook.
Nothing here may import Django, settings or a clock: `now` and the seed are arguments.
"""

from twins.ml.ageing import AgeingCurve
from twins.ml.boosting import version
from twins.ml.explanation import Driver
from twins.ml.lives import DAY, Columns, Input, Life, Trace, shorten, trace
from twins.ml.model import FleetModel, dump_model, load_model
from twins.ml.prediction import Prediction, predict, rows_needed
from twins.ml.readings import Readings
from twins.ml.training import FEWEST_FAILURES, Proof, Training, suggest_horizon, train
from twins.ml.warnings import Calibration, Record, Verdict, Warned, calibrate, judge, stands, tally, warnings_of

__all__ = [
    "DAY",
    "FEWEST_FAILURES",
    "AgeingCurve",
    "Calibration",
    "Columns",
    "Driver",
    "FleetModel",
    "Input",
    "Life",
    "Prediction",
    "Proof",
    "Readings",
    "Record",
    "Trace",
    "Training",
    "Verdict",
    "Warned",
    "calibrate",
    "dump_model",
    "judge",
    "load_model",
    "predict",
    "rows_needed",
    "shorten",
    "stands",
    "suggest_horizon",
    "tally",
    "trace",
    "train",
    "version",
    "warnings_of",
]
