"""Health learned from readings and recorded failures: features, regimes, training, prediction, explanation, ageing.

Promise: Arrow and numpy in, frozen dataclasses out; features use the past only; the same data, seed, thread count and
library versions give the same model bytes. Reason: the same functions run in a worker, at the edge and in a notebook.
Nothing here may import Django, settings or a clock: `now` and the seed are arguments.
"""

from twins.ml.ageing import AgeingCurve
from twins.ml.boosting import DEFAULT, Trees, version
from twins.ml.drift import stability
from twins.ml.explanation import Driver
from twins.ml.hindsight import Hindsight, Judgement, feature_rows, judge_model, judge_proof, look_back
from twins.ml.lives import DAY, Columns, Input, Life, Trace, shorten, trace
from twins.ml.model import FleetModel, dump_model, load_model
from twins.ml.prediction import Prediction, predict, rows_needed
from twins.ml.readings import Readings
from twins.ml.task import suggest_horizon
from twins.ml.training import FEWEST_FAILURES, Proof, Training, train
from twins.ml.warnings import Calibration, Record, Verdict, Warned, calibrate, judge, stands, tally, warnings_of

__all__ = [
    "DAY",
    "DEFAULT",
    "FEWEST_FAILURES",
    "AgeingCurve",
    "Calibration",
    "Columns",
    "Driver",
    "FleetModel",
    "Hindsight",
    "Input",
    "Judgement",
    "Life",
    "Prediction",
    "Proof",
    "Readings",
    "Record",
    "Trace",
    "Training",
    "Trees",
    "Verdict",
    "Warned",
    "calibrate",
    "dump_model",
    "feature_rows",
    "judge",
    "judge_model",
    "judge_proof",
    "load_model",
    "look_back",
    "predict",
    "rows_needed",
    "shorten",
    "stability",
    "stands",
    "suggest_horizon",
    "tally",
    "trace",
    "train",
    "version",
    "warnings_of",
]
