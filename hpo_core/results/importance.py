"""How much each parameter matters for a metric, by Optuna's evaluators, and how sure one can be of that.

An importance is one number from a handful of trials; alone it says too much. So each comes with

- an *interval*: the middle 90 % of what the evaluator says of trials drawn anew from these, with replacement (and with
  another seed each time, where the evaluator has one);
- *p*: how often it says as much or more when the values are shuffled over the trials, so that nothing can matter. With
  B shuffles, p = (1 + those that reach it) / (1 + B). It is of importances before they are scaled to a sum of 1, for a
  parameter that matters little beside a great one matters all the same.

Of parameters that only some trials have (`lr_scheduler.step.gamma`), PED-ANOVA compares the trials that have them among
one another, and weighs the answer with how many of the best ones those are (conditional PED-ANOVA, KDD 2026). fANOVA
and mean decrease impurity need every parameter in every trial: they leave such parameters out, which is said.

Values are the best of the metric in each complete trial; with `epoch`, the best up to it in every trial that got there,
those included that were stopped later: where a trial scheduler stops most trials, few are complete, and those are the
good ones.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from hpo_core.errors import PluginError, UsageError, nearest
from hpo_core.results.convergence import goal_of
from hpo_core.results.names import Names
from hpo_core.results.trials import ResultTrial, best_step
from hpo_core.space import Choice, Distribution, Int
from hpo_core.trial import Goal

if TYPE_CHECKING:
    import optuna
    from optuna.importance import BaseImportanceEvaluator
    from optuna.trial import FrozenTrial

EVALUATORS = Literal["ped-anova", "fanova", "mean-decrease-impurity"]

FEWEST = 10
"""With fewer trials nothing is said."""

BEST = 5
"""PED-ANOVA compares the best tenth with all; of fewer than fifty trials, the best five."""

SURE = 0.05
"""A p below it: more than chance."""

MOST_CHOICES = 8
"""fANOVA of a choice takes time and memory that double with each alternative: 35 of them never end."""


@dataclass(frozen=True)
class Importance:
    """A parameter's share of all importances, from `low` to `high`; `p` as above. `trials` have it."""

    parameter: str
    importance: float
    low: float
    high: float
    p: float
    trials: int


@dataclass(frozen=True)
class Importances:
    """The parameters that were assessed, the most important first, and those that could not be, with the reason."""

    metric: str
    evaluator: str
    epoch: int | None
    trials: int
    repeats: int
    parameters: tuple[Importance, ...]
    left_out: Mapping[str, str]

    def to_json(self) -> dict[str, Any]:
        """As JSON types."""
        return asdict(self)


@dataclass(frozen=True)
class Sample:
    """A trial as far as it matters here: its values of the parameters, and of the metric so that less is better."""

    params: Mapping[str, Any]
    value: float


def evaluate(
    trials: Sequence[ResultTrial],
    space: Mapping[str, Distribution],
    metric: str | None = None,
    evaluator: str = "ped-anova",
    epoch: int | None = None,
    repeats: int | None = None,
) -> Importances:
    """The importances of the parameters of a study's trials. `repeats` are the draws, and the shuffles: 50, or 10 where
    one takes long.

    Raises UsageError with too few trials, or where all have one value; PluginError where a library is missing.
    """
    if evaluator not in get_args(EVALUATORS):
        guess = nearest(evaluator, get_args(EVALUATORS))
        hint = f" - did you mean '{guess}'?" if guess else ""
        known = ", ".join(get_args(EVALUATORS))
        raise UsageError(f"there is no evaluator '{evaluator}'{hint} (there is: {known})")
    name = _metric(trials, metric)
    samples, odd = _samples(trials, space, name, epoch)
    _check(samples, trials, name, epoch)
    if evaluator == "fanova":
        _check_choices(space)
    repeats = repeats or (50 if evaluator == "ped-anova" else 10)
    judge = _Judge(space, evaluator, len(samples))
    whole = judge.assess(samples, 0)
    drawn, shuffled = _drawn(judge, samples, repeats), _shuffled(judge, samples, repeats)
    shares, spread = _shares(whole), [_shares(each) for each in drawn]
    rows = [
        Importance(
            parameter,
            share,
            *_middle([each.get(parameter, 0.0) for each in spread]),
            p=_p(whole[parameter], [each.get(parameter, 0.0) for each in shuffled]),
            trials=sum(parameter in sample.params for sample in samples),
        )
        for parameter, share in shares.items()
    ]
    rows.sort(key=lambda row: (-row.importance, row.parameter))
    left = _left_out(space, samples, set(whole)) | odd
    return Importances(name, evaluator, epoch, len(samples), repeats, tuple(rows), left)


class _Judge:
    """One of Optuna's evaluators over samples instead of a stored study."""

    def __init__(self, space: Mapping[str, Distribution], evaluator: str, trials: int) -> None:
        import optuna

        from hpo_core.sampling import to_optuna
        from hpo_core.storage.mirror import MirrorStorage

        self._space = {name: to_optuna(each) for name, each in space.items()}
        self._evaluator = evaluator
        self._quantile = max(0.1, BEST / trials)
        self._mirror = MirrorStorage()
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._study: optuna.Study = optuna.create_study(storage=self._mirror, direction="minimize")

    def assess(self, samples: Sequence[Sample], seed: int) -> dict[str, float]:
        """Importances that do not add up to anything; none of parameters that cannot be assessed."""
        self._mirror.shown = [self._frozen(number, each) for number, each in enumerate(samples)]
        with warnings.catch_warnings():  # that a regime is small is said by `trials`
            warnings.simplefilter("ignore")
            found = self._made(seed).evaluate(self._study)
        return {
            name: max(0.0, float(value)) if math.isfinite(value) else 0.0
            for name, value in found.items()
            if not self._space[name].single()
        }

    def _made(self, seed: int) -> BaseImportanceEvaluator:
        from optuna import importance

        try:
            if self._evaluator == "fanova":
                return importance.FanovaImportanceEvaluator(n_trees=_trees(seed), seed=seed)
            if self._evaluator == "mean-decrease-impurity":
                return importance.MeanDecreaseImpurityImportanceEvaluator(
                    n_trees=_trees(seed), seed=seed
                )
        except ImportError as error:
            raise PluginError(
                f"{self._evaluator} needs scikit-learn: install it, or leave --evaluator out"
            ) from error
        return importance.PedAnovaImportanceEvaluator(target_quantile=self._quantile)

    def _frozen(self, number: int, sample: Sample) -> FrozenTrial:
        from optuna.trial import FrozenTrial, TrialState

        distributions = {name: self._space[name] for name in sample.params}
        return FrozenTrial(
            number=number,
            trial_id=number,
            state=TrialState.COMPLETE,
            value=sample.value,
            datetime_start=None,
            datetime_complete=None,
            params=dict(sample.params),
            distributions=distributions,
            user_attrs={},
            system_attrs={},
            intermediate_values={},
        )


def _trees(seed: int) -> int:
    """Optuna's 64 for the figure itself, and a quarter of them for each draw: a tree takes long."""
    return 64 if seed == 0 else 16


def _metric(trials: Sequence[ResultTrial], metric: str | None) -> str:
    if metric is not None and (not trials or metric != trials[0].metric):
        return Names(trials).metric(metric)
    return trials[0].metric if trials else ""


def _samples(
    trials: Iterable[ResultTrial], space: Mapping[str, Distribution], metric: str, epoch: int | None
) -> tuple[list[Sample], dict[str, str]]:
    """The trials that count, and what is to be said of those that are outside of the space as it is now."""
    found, outside = [], 0
    for trial in trials:
        value = _value(trial, metric, epoch)
        if value is None:
            continue
        params = {name: trial.params[name] for name in space if name in trial.params}
        if all(_contains(space[name], value) for name, value in params.items()):
            found.append(Sample(params, value))
        else:
            outside += 1
    odd = {f"{outside} trials": "have values that the study's ranges no longer hold"}
    return found, odd if outside else {}


def _value(trial: ResultTrial, metric: str, epoch: int | None) -> float | None:
    """The best of a metric so that less is better; None of a trial that does not count."""
    curve = trial.curves.get(metric, {})
    if trial.failed if epoch is not None else trial.state != "complete":
        return None
    if epoch is not None:
        if max(curve, default=0) < epoch:
            return None
        curve = {step: value for step, value in curve.items() if step <= epoch}
    goal: Goal = goal_of(trial, metric)
    step = best_step(curve, goal)
    if step is not None:
        value: float | None = curve[step]
    else:  # added through Optuna
        value = trial.value if metric == trial.metric and epoch is None else None
    if value is None or not math.isfinite(value):
        return None
    return -value if goal == "maximize" else value


def _contains(distribution: Distribution, value: Any) -> bool:
    if isinstance(distribution, Choice):
        return value in distribution.labels
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    if isinstance(distribution, Int) and value != int(value):
        return False
    return distribution.low <= value <= distribution.high


def _check(
    samples: Sequence[Sample], trials: Sequence[ResultTrial], metric: str, epoch: int | None
) -> None:
    if len(samples) < FEWEST:
        what = "complete trials" if epoch is None else f"trials that got to epoch {epoch}"
        stopped = sum(trial.state == "pruned" for trial in trials)
        hint = ""
        if epoch is None and len(samples) + stopped >= FEWEST:
            hint = f"; {stopped} were stopped early: --epoch 1 counts them by their first epoch"
        raise UsageError(
            f"{len(samples)} {what} with a value of {metric or 'the metric'} are too few to say what matters: it takes "
            f"{FEWEST}, and 50 to say it well{hint}"
        )
    if len({sample.value for sample in samples}) == 1:
        raise UsageError(
            f"all {len(samples)} trials have the same {metric}: there is nothing that parameters could explain"
        )


def _check_choices(space: Mapping[str, Distribution]) -> None:
    for name, distribution in space.items():
        if isinstance(distribution, Choice) and len(distribution.labels) > MOST_CHOICES:
            raise UsageError(
                f"fanova cannot do with the {len(distribution.labels)} alternatives of {name}: {MOST_CHOICES} are the "
                "most; take ped-anova"
            )


def _drawn(judge: _Judge, samples: Sequence[Sample], repeats: int) -> list[dict[str, float]]:
    """The importances of trials drawn anew."""
    import numpy

    random = numpy.random.default_rng(0)
    picks = [random.integers(len(samples), size=len(samples)) for _ in range(repeats)]
    return [
        judge.assess([samples[index] for index in pick], seed) for seed, pick in enumerate(picks, 1)
    ]


def _shuffled(judge: _Judge, samples: Sequence[Sample], repeats: int) -> list[dict[str, float]]:
    """The importances where values belong to any trial."""
    import numpy

    random = numpy.random.default_rng(1)
    found = []
    for seed in range(1, repeats + 1):
        order = random.permutation(len(samples))
        mixed = [
            Sample(each.params, samples[index].value)
            for each, index in zip(samples, order, strict=True)
        ]
        found.append(judge.assess(mixed, seed))
    return found


def _shares(found: Mapping[str, float]) -> dict[str, float]:
    """Importances with the sum 1; alike where all are 0."""
    whole = sum(found.values())
    return {name: value / whole if whole else 1 / len(found) for name, value in found.items()}


def _middle(values: Sequence[float]) -> tuple[float, float]:
    """Where the middle 90 % of some numbers begin and end."""
    import numpy

    low, high = numpy.quantile(values, [0.05, 0.95])
    return float(low), float(high)


def _p(observed: float, chance: Sequence[float]) -> float:
    return (1 + sum(each >= observed for each in chance)) / (1 + len(chance))


def _left_out(
    space: Mapping[str, Distribution], samples: Sequence[Sample], assessed: set[str]
) -> dict[str, str]:
    found = {}
    for name in space:
        if name not in assessed:
            having = sum(name in sample.params for sample in samples)
            found[name] = (
                "has one value only"
                if having == len(samples)
                else f"is in {having} of {len(samples)} trials"
            )
    return found
