"""Parameters that need not be searched: what they are shows in nothing.

An importance that shuffled values reach as often as not is none (`hpo_core.results.importance`). It takes thirty
trials, and some other parameter that does matter: where none does, it is the noise that matters.
"""

from __future__ import annotations

from collections.abc import Iterator

from hpo_core.errors import UsageError
from hpo_core.recommending.finding import Edit, Finding
from hpo_core.recommending.studied import Studied
from hpo_core.results import importance, runs
from hpo_core.space import Choice

FEWEST = 30
REPEATS = 20  # enough for a p below 0.05
UNSEEN = 0.2
"""A p above it: as good as nothing. One in five parameters without importance has a lower one."""


def unimportant(study: Studied) -> Iterator[Finding]:
    """A finding for each parameter that could be left at the best trial's value."""
    searched = {name: each for name, each in study.space.items() if not runs.is_repetition(name)}
    if len(searched) < 2 or len(study.good) < FEWEST:
        return
    epoch = None
    if sum(trial.state == "complete" for trial in study.good) < FEWEST:
        epoch = 1  # where most trials are stopped, the complete ones are the good ones
    try:
        found = importance.evaluate(study.trials, searched, epoch=epoch, repeats=REPEATS)
    except UsageError:  # too few, or all alike: then there is nothing to say
        return
    if (
        found.trials < FEWEST
        or min((row.p for row in found.parameters), default=1) > importance.SURE
    ):
        return
    best = study.good[0]
    for row in found.parameters:
        if row.p <= UNSEEN or row.trials < FEWEST or row.parameter not in best.params:
            continue
        distribution, value = searched[row.parameter], best.params[row.parameter]
        if isinstance(distribution, Choice):
            value = distribution.alternative(value)
        yield Finding(
            "no-importance",
            f"{row.parameter} shows no importance: fixing it leaves more trials for the others",
            {
                "parameter": row.parameter,
                "importance": row.importance,
                "interval": [row.low, row.high],
                "p": row.p,
                "trials": row.trials,
                "epoch": epoch,
                "best_trial": best.number,
            },
            (Edit(study.paths[row.parameter], value),),
            "by the first epoch, since few trials are complete" if epoch else "",
        )
