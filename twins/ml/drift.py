"""Whether readings are still what the model learned from: the population stability index of every input.

PSI is the sum over ten equal parts of what was learned from of (share now - share then) * ln(share now / share then)
(Siddiqi 2006); below 0.1 nothing has changed, above 0.25 much has. Inputs are judged after normalisation, so that other
operating conditions alone are no drift.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from twins.ml.lives import Floats, Trace, stack
from twins.ml.model import FleetModel
from twins.ml.rows import normalise, pick_rows

_PARTS = 10
_FEWEST_ROWS = 100
_NONE = 1e-4
"""Share that stands for none: of an empty part no logarithm can be taken."""


def fit_reference(normalised: Floats) -> Floats:
    """[borders, inputs] borders of ten equal parts of `normalised` [rows, inputs]."""
    shares = np.linspace(0, 1, _PARTS + 1)[1:-1]
    known = [column[np.isfinite(column)] for column in normalised.T]
    return np.column_stack([np.quantile(column if len(column) else [0.0], shares) for column in known])


def stability(model: FleetModel, traces: Sequence[Trace]) -> dict[str, float]:
    """PSI of every input over the rows of `traces`; inputs with fewer than a hundred rows are left out."""
    traces = [rows for rows in traces if len(rows.bins)]
    if not traces or not len(model.reference):
        return {}
    grid = stack(traces)
    rows = pick_rows(grid, model.joined)
    normalised = normalise(grid, rows, model.columns, model.joined, model.normaliser)
    found = {}
    for column, name in enumerate(model.columns.measurements):
        own = normalised[:, column]
        own = own[np.isfinite(own)]
        if len(own) >= _FEWEST_ROWS:
            found[name] = _index(own, model.reference[:, column])
    return found


def _index(values: Floats, borders: Floats) -> float:
    # Many equal values make borders that coincide; the parts between them hold nothing then and now.
    distinct = np.unique(borders)
    then = np.diff(np.concatenate([[0.0], [(np.sum(borders <= b)) / _PARTS for b in distinct], [1.0]]))
    now = np.bincount(np.searchsorted(distinct, values, "left"), minlength=len(distinct) + 1) / len(values)
    then, now = np.maximum(then, _NONE), np.maximum(now, _NONE)
    return float(np.sum((now - then) * np.log(now / then)))
