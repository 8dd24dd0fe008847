"""What to change in a study file, from what the study found: a table of rules, a family of them in each module.

A rule is a function from a study (`Studied`) to findings. It reads nothing and writes nothing, so that it can be tried
on studies made up for it: with the defect, and without it, for a rule that cries wolf is worse than none. A finding has
the numbers that it rests on and, where there is one, the edit to make.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from hpo_core.recommending import early_stopping, metrics, outcomes, parameters, ranges, seeds
from hpo_core.recommending.finding import Edit, Finding
from hpo_core.recommending.studied import Studied

__all__ = ["RULES", "Edit", "Finding", "Studied", "findings"]

RULES: dict[str, Callable[[Studied], Iterator[Finding]]] = {
    "failures": outcomes.failures,
    "metric-never-moved": metrics.never_moved,
    "lr-never-moved": metrics.lr_never_moved,
    "one-class": outcomes.one_class,
    "range-edge": ranges.edges,
    "first-rung": early_stopping.first_rung,
    "rungs-disagree": early_stopping.rungs_disagree,
    "seeds-within-noise": seeds.within_noise,
    "no-importance": parameters.unimportant,
    "duplicates": outcomes.duplicates,
}
"""The rules by name, in the order in which their findings are told: what makes the others pointless comes first."""


def findings(study: Studied) -> list[Finding]:
    """Everything that the rules find in a study."""
    return [finding for rule in RULES.values() for finding in rule(study)]
