"""Every trial scheduler keeps the contract."""

from __future__ import annotations

from hpo_search.asha import Asha
from hpo_search.asha_promotion import AshaPromotion
from hpo_search.bohb import Bohb
from hpo_search.composition import All, Any
from hpo_search.hyperband import Hyperband
from hpo_search.median import Median
from hpo_search.none import Never
from hpo_search.one_epoch_top_k import OneEpochTopK
from hpo_search.pasha import Pasha
from hpo_search.patience import Patience
from hpo_search.pbt import Pbt
from hpo_search.percentile import Percentile
from hpo_search.threshold import Threshold

from hpo_core import Component, SchedulerContext, TrialScheduler
from hpo_core.testing.scheduling import TrialSchedulerContract


class TestNever(TrialSchedulerContract):
    def scheduler(self, context: SchedulerContext) -> TrialScheduler:
        return Never(context)


class TestMedian(TrialSchedulerContract):
    def scheduler(self, context: SchedulerContext) -> TrialScheduler:
        return Median(context, min_trials=2)


class TestPercentile(TrialSchedulerContract):
    def scheduler(self, context: SchedulerContext) -> TrialScheduler:
        return Percentile(context, keep=40, min_trials=2)


class TestThreshold(TrialSchedulerContract):
    def scheduler(self, context: SchedulerContext) -> TrialScheduler:
        return Threshold(context, bound=0.3, epochs=3)


class TestPatience(TrialSchedulerContract):
    def scheduler(self, context: SchedulerContext) -> TrialScheduler:
        return Patience(context, epochs=2)


class TestAny(TrialSchedulerContract):
    def scheduler(self, context: SchedulerContext) -> TrialScheduler:
        return Any(context, of=RULES)


class TestAll(TrialSchedulerContract):
    def scheduler(self, context: SchedulerContext) -> TrialScheduler:
        return All(context, of=RULES)


class TestAsha(TrialSchedulerContract):
    def scheduler(self, context: SchedulerContext) -> TrialScheduler:
        return Asha(context, min_epochs=1, reduction_factor=3)


class TestAshaWithAnEnd(TrialSchedulerContract):
    def scheduler(self, context: SchedulerContext) -> TrialScheduler:
        return Asha(context, min_epochs=2, reduction_factor=2, max_epochs=8)


class TestAshaPromotion(TrialSchedulerContract):
    def scheduler(self, context: SchedulerContext) -> TrialScheduler:
        return AshaPromotion(context, reduction_factor=2)


class TestHyperband(TrialSchedulerContract):
    def scheduler(self, context: SchedulerContext) -> TrialScheduler:
        return Hyperband(context)


class TestHyperbandByPromotion(TrialSchedulerContract):
    def scheduler(self, context: SchedulerContext) -> TrialScheduler:
        return Hyperband(context, reduction_factor=2, brackets=3, variant="promotion")


class TestBohb(TrialSchedulerContract):
    def scheduler(self, context: SchedulerContext) -> TrialScheduler:
        return Bohb(context, min_points=3)


class TestPasha(TrialSchedulerContract):
    def scheduler(self, context: SchedulerContext) -> TrialScheduler:
        return Pasha(context, reduction_factor=2)


class TestOneEpochTopK(TrialSchedulerContract):
    def scheduler(self, context: SchedulerContext) -> TrialScheduler:
        return OneEpochTopK(context, top=2)


class TestPbt(TrialSchedulerContract):
    def scheduler(self, context: SchedulerContext) -> TrialScheduler:
        return Pbt(context, population=5, interval=2, quantile=0.4, keep=["lr"])


RULES = [
    Component("median", {}, lambda context: Median(context, min_trials=2)),
    Component("patience", {}, lambda context: Patience(context, epochs=2)),
]
