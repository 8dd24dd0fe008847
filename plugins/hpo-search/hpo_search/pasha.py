"""The trial scheduler `pasha`: promotion of paused trials with a maximum resource that grows only where it must.

Bohdal et al., "PASHA: Efficient HPO and NAS with Progressive Resource Allocation" (ICLR 2023, arXiv 2207.06940). It is
`asha-promotion` between the rungs r and R_t only, with R_0 = eta * r. When a trial arrives in the top rung, the ranking
of all that are there is compared with the ranking that the same trials had one rung below; only if they differ, R_t
grows by eta. So where the first epochs already tell who wins, nothing is trained for long. What is best at the end is
meant to be trained in full afterwards.

Rankings are compared softly: place i is consistent if the trial in place i of the top rung differs by at most epsilon,
in its score one rung below, from the trial in place i there. epsilon is estimated from noise: two trials whose curves
cross and cross back (f_i > f'_i, f_j < f'_j, f_k > f'_k for epochs i > j > k) differ by noise alone, and epsilon is the
90th percentile (N = 90) of their distances at the last epoch that both have reached. Of the curves only the 32 newest
in the top rung are compared, so that a report stays cheap in studies of ten thousand trials.

`min_epochs` is r, `reduction_factor` is eta, `max_epochs` is R.
"""

from __future__ import annotations

from bisect import insort
from collections import deque
from dataclasses import dataclass, field

from hpo_core import Decision, Outcome, Report, SchedulerContext, Trial
from hpo_search._rungs import Factor, MaxEpochs, MinEpochs
from hpo_search.asha_promotion import AshaPromotion

Curve = dict[int, float]
NEWEST = 32
PERCENTILE = 0.9


class Pasha(AshaPromotion):
    """Promotes trials up to a rung that is raised while the ranking still changes there."""

    def __init__(
        self,
        context: SchedulerContext,
        *,
        min_epochs: MinEpochs = 1,
        reduction_factor: Factor = 3,
        max_epochs: MaxEpochs = None,
    ) -> None:
        super().__init__(
            context,
            min_epochs=min_epochs,
            reduction_factor=reduction_factor,
            max_epochs=max_epochs,
        )
        self._top = min_epochs * reduction_factor  # R_t
        self._noise = Noise()
        self._rankings = Rankings()
        self._curves: dict[int, Curve] = {}  # of those that have not ended

    def on_report(self, trial: Trial, report: Report, score: float) -> Decision:
        """Called after each report; one that arrives in the top rung may raise it."""
        self._curves.setdefault(trial.number, {})[report.step] = score
        before = self._reached.get(trial.number, 0)
        decision = super().on_report(trial, report, score)
        reached = self._reached.get(trial.number, 0)
        if reached > before and reached >= self._top:
            self._arrive_in_top(trial.number, reached, score)
        return decision

    def on_finish(self, trial: Trial, outcome: Outcome) -> None:
        """Called when an attempt has ended."""
        super().on_finish(trial, outcome)
        if trial.number not in self._held:
            self._curves.pop(trial.number, None)

    def may_promote(self, rung: int) -> bool:
        """Whether a rung is below the top one."""
        return rung < self._top

    def _arrive_in_top(self, number: int, rung: int, score: float) -> None:
        self._noise.add(self._curves[number])
        if rung > self._top:  # its reports are so far apart that it has skipped the top rung
            self._raise(rung)
        below = self._rungs.get(rung // self._ladder.factor)
        if below is None or number not in below.keys:
            return  # it reports too seldom to have been compared there
        self._rankings.add(score, below.keys[number][0])
        if not self._rankings.consistent(self._noise.epsilon()):
            self._raise(rung * self._ladder.factor)

    def _raise(self, top: int) -> None:
        self._top = top
        self._rankings = Rankings()


@dataclass
class Rankings:
    """Scores of the same trials in the top rung and in the one below, kept sorted."""

    _above: list[tuple[float, float]] = field(default_factory=list)  # with the score below
    _below: list[float] = field(default_factory=list)

    def add(self, above: float, below: float) -> None:
        """A trial has arrived in the top rung."""
        # of equals in the top rung either order is right, so take that of the rung below
        insort(self._above, (above, below))
        insort(self._below, below)

    def consistent(self, epsilon: float) -> bool:
        """Whether the rankings agree, trials that differ by at most epsilon in the rung below being equals."""
        return all(
            abs(own - other) <= epsilon
            for (_, own), other in zip(self._above, self._below, strict=True)
        )


@dataclass
class Noise:
    """How far apart trials are whose curves cross and cross back; of the newest curves only."""

    _newest: deque[tuple[Curve, list[float]]] = field(default_factory=lambda: deque(maxlen=NEWEST))

    def add(self, curve: Curve) -> None:
        """Compare a curve with those before it."""
        distances = [crossed_distance(curve, other) for other, _ in self._newest]
        found = [distance for distance in distances if distance is not None]
        self._newest.append((dict(curve), found))

    def epsilon(self) -> float:
        """The 90th percentile of the distances, the nearest from above; 0 where no two curves crossed twice."""
        distances = sorted(distance for _, found in self._newest for distance in found)
        if not distances:
            return 0.0
        return distances[min(int(PERCENTILE * len(distances)), len(distances) - 1)]


def crossed_distance(one: Curve, other: Curve) -> float | None:
    """How far apart two curves end, at the last epoch of both, if they crossed at least twice; else None."""
    crossings, side, distance = 0, 0, 0.0
    for step, score in one.items():  # in the order of epochs
        if step not in other:
            continue
        distance = score - other[step]
        now = (distance > 0) - (distance < 0)
        if now and now != side:
            crossings += side != 0
            side = now
    return abs(distance) if crossings >= 2 else None
