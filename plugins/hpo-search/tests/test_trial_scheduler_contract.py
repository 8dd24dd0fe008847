"""Every trial scheduler keeps the contract."""

from __future__ import annotations

from hpo_search.asha import Asha
from hpo_search.median import Median
from hpo_search.none import Never
from hpo_search.patience import Patience

from hpo_core import TrialScheduler
from hpo_core.testing.search import TrialSchedulerContract


class TestNever(TrialSchedulerContract):
    def scheduler(self) -> TrialScheduler:
        return Never()


class TestMedian(TrialSchedulerContract):
    def scheduler(self) -> TrialScheduler:
        return Median(min_trials=2)


class TestAsha(TrialSchedulerContract):
    def scheduler(self) -> TrialScheduler:
        return Asha(min_epochs=1, reduction_factor=3)


class TestAshaWithAnEnd(TrialSchedulerContract):
    def scheduler(self) -> TrialScheduler:
        return Asha(min_epochs=2, reduction_factor=2, max_epochs=8)


class TestPatience(TrialSchedulerContract):
    def scheduler(self) -> TrialScheduler:
        return Patience(epochs=2, min_delta=0.01)
