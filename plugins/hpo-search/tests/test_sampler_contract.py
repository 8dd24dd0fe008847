"""Every sampler keeps the contract, with options that let it leave its random phase within a few trials."""

from __future__ import annotations

from hpo_search import samplers
from optuna.samplers import BaseSampler

from hpo_core.sampling import SamplerContext
from hpo_core.testing.search import SamplerContract


class TestRandom(SamplerContract):
    trials = 6

    def sampler(self, context: SamplerContext) -> BaseSampler:
        return samplers.random(context)


class TestQmc(SamplerContract):
    def sampler(self, context: SamplerContext) -> BaseSampler:
        return samplers.qmc(context)


class TestHalton(SamplerContract):
    random = False

    def sampler(self, context: SamplerContext) -> BaseSampler:
        return samplers.qmc(context, sequence="halton", scramble=False)


class TestTpe(SamplerContract):
    def sampler(self, context: SamplerContext) -> BaseSampler:
        return samplers.tpe(context, startup_trials=3)


class TestUnivariateTpe(SamplerContract):
    def sampler(self, context: SamplerContext) -> BaseSampler:
        return samplers.tpe(context, startup_trials=3, multivariate=False, constant_liar=False)


class TestGp(SamplerContract):
    trials = 4  # a proposal by the model takes up to two seconds

    def sampler(self, context: SamplerContext) -> BaseSampler:
        return samplers.gp(context, startup_trials=2, deterministic=True)


class TestCmaEs(SamplerContract):
    trials = 24  # three generations, of which a quarter of the trials fail

    def sampler(self, context: SamplerContext) -> BaseSampler:
        return samplers.cma_es(context, population_size=4)


class TestGenetic(SamplerContract):
    def sampler(self, context: SamplerContext) -> BaseSampler:
        return samplers.genetic(context, population_size=2)
