"""Better trees for one fleet, looked for on its own stored history within a budget of trials.

The first trial is what is used now, so that the answer is never worse than it by the error that is asked, which is that
on unseen items. The search is Optuna's tree-structured Parzen estimator (Bergstra et al. 2011) with a seed, one trial
after the other: the same history, seed and budget find the same trees.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from twins.ml.boosting import Trees

_CLEARLY = 0.995
"""Share of the error of what is used now that a better one must stay below; less is luck of the search."""


def tune(error: Callable[[Trees], float], used: Trees, trials: int, seed: int) -> Trees:
    """The trees with the smallest `error` found in so many trials, `used` unless some are clearly better."""
    if trials < 2:
        return used
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
    study.enqueue_trial(asdict(used))
    study.optimize(lambda trial: error(_suggest(trial)), n_trials=trials)
    now, best = study.trials[0].value, study.best_trial
    if now is None or best.value is None or best.value >= _CLEARLY * now:
        return used
    return Trees(**best.params)


def _suggest(trial: Any) -> Trees:
    return Trees(
        rate=trial.suggest_float("rate", 0.01, 0.1, log=True),
        depth=trial.suggest_int("depth", 2, 7),
        leaf=trial.suggest_float("leaf", 2.0, 100.0, log=True),
        rows=trial.suggest_float("rows", 0.3, 1.0),
        columns=trial.suggest_float("columns", 0.2, 1.0),
        ridge=trial.suggest_float("ridge", 0.5, 50.0, log=True),
        count=trial.suggest_float("count", 0.5, 3.0, log=True),
    )
