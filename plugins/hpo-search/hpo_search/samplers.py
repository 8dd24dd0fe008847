"""The samplers, as factories: `sampler: {name: tpe, startup_trials: 8}` in a study file.

Each is called by the study once for every trial and gives an Optuna sampler that proposes that trial alone. What a
sampler knows comes from the study's history, its randomness from `context.seed`, so a study that was killed and
continued proposes what it would have proposed anyway. `grid` and `qmc` need no history at all: their proposals are
functions of the trial's number, and of the study's seed.

Trials that a trial scheduler stopped have a value too, their best so far. `tpe` and `cma-es` learn from them, `gp` and
`genetic` learn from completed trials only.

Optuna is imported in the bodies, because checking a study file resolves these names and must not import Optuna.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

    from hpo_core.sampling import SamplerContext

Startup = Annotated[
    int, Field(ge=1, description="trials that are drawn at random before the model is used")
]


def random(context: SamplerContext) -> BaseSampler:
    """Independent uniform draws (Bergstra and Bengio, 2012): the baseline, and hard to beat in many dimensions."""
    from optuna.samplers import RandomSampler

    return RandomSampler(seed=context.seed)


def grid(
    context: SamplerContext,
    *,
    points: Annotated[
        int, Field(ge=2, description="values per number that has more (log ranges: evenly in log)")
    ] = 5,
    shuffle: Annotated[
        bool, Field(description="visit the grid in a random order given by the study's seed")
    ] = False,
) -> BaseSampler:
    """Every combination once, the last parameter of the file slowest; the study ends with the grid.

    Parameters inside alternatives are combined only with the alternative that they belong to. Raises
    `hpo_core.sampling.SpaceExhausted` when `context.number` is behind the last point.
    """
    from hpo_search import _grid
    from hpo_search._point import PointSampler

    seed = context.study_seed if shuffle else None
    return PointSampler(_grid.point(context.space, points, context.number, seed))


grid.exhaustive = True  # type: ignore[attr-defined]  # a trait: see hpo_core.contracts


def qmc(
    context: SamplerContext,
    *,
    sequence: Annotated[
        Literal["sobol", "halton"],
        Field(description="sobol is most even after 2, 4, 8, 16, ... trials; halton at any number"),
    ] = "sobol",
    scramble: Annotated[
        bool, Field(description="randomise the sequence by the study's seed, keeping it even")
    ] = True,
) -> BaseSampler:
    """A quasi Monte Carlo sequence: fills the space more evenly than random draws, also with many workers."""
    from hpo_search import _qmc
    from hpo_search._point import PointSampler

    return PointSampler(
        _qmc.point(context.space, sequence, context.number, context.study_seed, scramble)
    )


def tpe(
    context: SamplerContext,
    *,
    startup_trials: Startup = 10,
    candidates: Annotated[
        int, Field(ge=1, description="draws from l(x) among which l(x)/g(x) is maximised")
    ] = 24,
    multivariate: Annotated[
        bool, Field(description="model parameters jointly instead of one by one")
    ] = True,
    constant_liar: Annotated[
        bool, Field(description="keep away from trials that are still running")
    ] = True,
) -> BaseSampler:
    """Tree-structured Parzen estimator (Bergstra et al., 2011; Watanabe, 2023): the all-rounder.

    In a conditional space the parameters that occur together are modelled together (`group` in Optuna).
    """
    from optuna.exceptions import ExperimentalWarning
    from optuna.samplers import TPESampler

    with warnings.catch_warnings():
        # `group` is the only way to a joint model of a conditional space; that it may change is Optuna's worry
        warnings.simplefilter("ignore", ExperimentalWarning)
        return TPESampler(
            n_startup_trials=startup_trials,
            n_ei_candidates=candidates,
            multivariate=multivariate,
            group=multivariate and context.space.conditional,
            constant_liar=constant_liar,
            seed=context.seed,
        )


def gp(
    context: SamplerContext,
    *,
    startup_trials: Startup = 10,
    deterministic: Annotated[
        bool, Field(description="the objective gives the same value for the same parameters")
    ] = False,
) -> BaseSampler:
    """Bayesian optimisation by a Gaussian process with log expected improvement (Ament et al., 2023).

    The most frugal with trials in up to some ten dimensions; a proposal takes about 0.3 s, more from 500 trials on.
    Conditional parameters are drawn at random.
    """
    from optuna.exceptions import ExperimentalWarning
    from optuna.samplers import GPSampler

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # `deterministic_objective`
        return GPSampler(
            n_startup_trials=startup_trials,
            deterministic_objective=deterministic,
            warn_independent_sampling=False,
            seed=context.seed,
        )


def ranked_gp(
    context: SamplerContext,
    *,
    startup_trials: Startup = 10,
    random_share: Annotated[
        float, Field(ge=0, le=1, description="share of the proposals that stay random")
    ] = 1 / 3,
) -> BaseSampler:
    """Random draws, two in three of them picked by a light Gaussian process: for trials that are stopped early.

    It learns from the order of all trials, however far each of them got, so it goes with the trial schedulers that
    pause or stop most of them. A proposal takes a few milliseconds, whatever the number of trials.
    """
    from hpo_search._ranked_gp import RankedGp

    return RankedGp(context, startup_trials, random_share)


def cma_es(
    context: SamplerContext,
    *,
    population_size: Annotated[
        int | None, Field(ge=4, description="trials in a generation; null: 4 + 3 ln(dimensions)")
    ] = None,
) -> BaseSampler:
    """Covariance matrix adaptation (Hansen, 2016): for numbers that interact, and hundreds of trials.

    Choices, and parameters that exist only under one, are drawn at random.
    """
    from hpo_search._cma import CmaEsSampler

    return CmaEsSampler(context, population_size)


def genetic(
    context: SamplerContext,
    *,
    population_size: Annotated[
        int, Field(ge=2, description="completed trials in a generation; the first one is random")
    ] = 20,
    crossover: Annotated[
        float, Field(ge=0, le=1, description="probability that a child has two parents")
    ] = 0.9,
    swapping: Annotated[
        float, Field(ge=0, le=1, description="probability that a parameter comes from the second")
    ] = 0.5,
    mutation: Annotated[
        float | None,
        Field(ge=0, le=1, description="probability that a parameter is drawn anew; null: 1/number"),
    ] = None,
) -> BaseSampler:
    """A genetic algorithm (NSGA-II, Deb et al., 2002, "A fast and elitist multiobjective genetic algorithm").

    For many choices and cheap trials by the hundred. With one metric, as here, it is this: the first N trials
    (`population_size`) are random; afterwards the N best of the last population and its children are the parents
    (elitism); a child has, with probability p_c (`crossover`), two parents, each the winner of a binary tournament, and
    takes each parameter from the second with probability `swapping` (uniform crossover), or else one parent; then each
    parameter is drawn anew with probability p_m (`mutation`). Only completed trials are in a population.

    It evolves configurations, each trained from its first epoch. The trial scheduler `pbt` evolves weights along with
    them, and `cma-es` is the evolution strategy for numbers. Parameters that exist only under a choice are drawn at
    random.
    """
    from optuna.samplers import NSGAIISampler

    return NSGAIISampler(
        population_size=population_size,
        crossover_prob=crossover,
        swapping_prob=swapping,
        mutation_prob=mutation,
        seed=context.seed,
    )
