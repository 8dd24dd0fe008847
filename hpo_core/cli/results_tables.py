"""The answers of `hpo results` as tables and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from hpo_core.cli.tables import print_table
from hpo_core.cli.wording import NOTHING, clean, count, number, parameters

if TYPE_CHECKING:
    from hpo_core.results.classes import ClassSummary, Confused
    from hpo_core.results.comparison import Comparison
    from hpo_core.results.convergence import Convergence
    from hpo_core.results.ranking import Place, Ranking
    from hpo_core.results.significance import Interval
    from hpo_core.results.trials import ResultTrial

PARTS = ("model", "lr_scheduler", "optimizer", "dataset")
"""Options with a column of their own."""


def trials_json(
    found: Sequence[ResultTrial], epochs: bool, told: Sequence[Convergence] | None
) -> list[dict[str, Any]]:
    """The list of `hpo results query --json`."""
    names = ("study", "number", "state", "value", "epochs", "best_step", "attempt", "seconds")
    rows = []
    for index, trial in enumerate(found):
        row = {name: getattr(trial, name) for name in (*names, "reason")}
        row["metrics"], row["params"] = dict(trial.metrics), dict(trial.params)
        row["options"] = dict(trial.options)
        if epochs:
            row["curve"] = [
                {
                    "step": step,
                    "metrics": {n: c[step] for n, c in trial.curves.items() if step in c},
                }
                for step in trial.steps()
            ]
        if told is not None:
            row["convergence"] = told[index].to_json()
        rows.append(row)
    return rows


def print_trials(
    found: Sequence[ResultTrial],
    epochs: bool,
    told: Sequence[Convergence] | None,
    share: float,
) -> None:
    """Trials as a table, or their epochs."""
    if epochs:
        return _print_epochs(found)
    parts = [part for part in PARTS if any(part in trial.options for trial in found)]
    metrics = {trial.metric for trial in found}
    value = metrics.pop() if len(metrics) == 1 else "value"
    head = ["study", "trial", "state", value, "epochs", *parts]
    if told is not None:
        head += [f"to {share:.0%}", "area", "plateau", "diverged"]
    rows = []
    for index, trial in enumerate(found):
        row: list[Any] = [trial.study, trial.number, trial.state, number(trial.value), trial.epochs]
        row += [trial.options.get(part) for part in parts]
        if told is not None:
            each = told[index]
            row += [each.to_share, number(each.area), each.plateau, each.diverged]
        others = {name: item for name, item in trial.params.items() if name not in parts}
        rows.append([*row, parameters(others)])
    print_table([*head, "parameters"], rows)


def _print_epochs(found: Sequence[ResultTrial]) -> None:
    names = sorted({name for trial in found for name in trial.curves})
    rows = [
        (trial.study, trial.number, step, *[_at(trial, name, step) for name in names])
        for trial in found
        for step in trial.steps()
    ]
    print_table(("study", "trial", "epoch", *names), rows)


def _at(trial: ResultTrial, name: str, step: int) -> str:
    return number(trial.curves.get(name, {}).get(step))


def print_rankings(found: Sequence[Ranking], share: float, limit: int | None) -> None:
    """Each ranking as a table, with its tests and what cannot be shown."""
    for index, ranking in enumerate(found):
        if index:
            print()
        if ranking.group is not None:
            print(f"{clean(ranking.per)} {clean(ranking.group)}")
        head = ["#", ranking.by, "runs", "epochs", "at", ranking.metric, "95 % interval", "final"]
        head += ["mean rank", "p", f"to {share:.0%}", "area", "diverged"]
        print_table(head, [_place(n, place) for n, place in enumerate(ranking.places[:limit], 1)])
        if ranking.friedman is not None:
            test = ranking.friedman
            print(
                f"Friedman over {count(test.n, 'block')} of {clean(', '.join(ranking.blocks))}: "
                f"chi2 {test.statistic:.2f}, p {_p(test.p)}"
            )
        _print_notes(ranking.notes)


def _place(index: int, place: Place) -> list[Any]:
    runs = f"{place.runs - place.failed}" + (f" ({place.failed} failed)" if place.failed else "")
    return [
        index,
        place.level,
        runs,
        " ".join(map(str, place.reached)) if len(place.reached) <= 5 else _span(place.reached),
        place.epoch,
        number(place.best.mean if place.best else None),
        _limits(place.best),
        number(place.final.mean if place.final else None),
        None if place.rank is None else f"{place.rank:.1f}",
        _p(place.p),
        None if place.to_share is None else f"{place.to_share:.1f}",
        number(place.area),
        place.diverged or NOTHING,
    ]


def print_comparison(found: Comparison) -> None:
    """Each difference from the first."""
    first = found.differences[0].first
    head = (found.by, "at", found.metric, "95 % interval", f"minus {clean(first)}", "95 % interval")
    one = found.differences[0]
    rows: list[Sequence[Any]] = [
        (first, one.epoch, _mean(one.mean_first), _limits(one.mean_first), None, None, None, None)
    ]
    for each in found.differences:
        test = "" if each.test is None else f"{each.test.name}, n = {each.test.n}"
        row = (each.other, each.epoch, _mean(each.mean_other), _limits(each.mean_other))
        rows.append((*row, _mean(each.difference), _limits(each.difference), _p(each.p), test))
    print_table((*head, "p", "test"), rows)
    if found.blocks:
        print(f"paired by {clean(', '.join(found.blocks))}")
    _print_notes(found.notes)


def print_classes(found: ClassSummary) -> None:
    """Classes, groups and what they come to."""
    print_table(
        ("class", "precision", "recall", "F1", "images", "predicted"),
        [
            (
                c.name or '""',
                number(c.precision),
                number(c.recall),
                number(c.f1),
                c.support,
                c.predicted,
            )
            for c in found.classes
        ],
    )
    if found.groups:
        print()
        print_table(
            ("group", "classes", "images", "micro", "macro", "coarse"),
            [
                (g.name, g.classes, g.support, number(g.micro), number(g.macro), number(g.coarse))
                for g in found.groups
            ],
        )
    print()
    print(f"accuracy {number(found.accuracy)}, macro F1 {number(found.macro_f1)}", end="")
    print(f", macro precision {number(found.macro_precision)}", end="")
    print(f", macro recall {number(found.macro_recall)}")
    if found.coarse_accuracy is not None:
        within = "" if found.errors_within is None else f"; {found.errors_within:.0%} of the errors"
        said = f"{within} stay within their group" if within else ""
        print(f"of the groups alone: accuracy {number(found.coarse_accuracy)}{said}")
    if found.most_predicted is not None:
        print(f"the commonest guess is {found.most_predicted:.0%} of all")


def print_confusions(pairs: Sequence[Confused]) -> None:
    """The most confused pairs."""
    grouped = any(pair.same_group is not None for pair in pairs)
    head = ["label", "taken for", "images", "share of the label"]
    rows = []
    for pair in pairs:
        row = [pair.label or '""', pair.predicted or '""', pair.images, f"{pair.share:.1%}"]
        rows.append(
            [*row, {True: "yes", False: "no", None: None}[pair.same_group]] if grouped else row
        )
    print_table([*head, "same group"] if grouped else head, rows)
    if not pairs:
        print("no class was taken for another")


def _print_notes(notes: Iterable[str]) -> None:
    for note in notes:
        print(f"note: {clean(note)}")


def _mean(interval: Interval | None) -> str:
    return number(None if interval is None else interval.mean)


def _limits(interval: Interval | None) -> str:
    if interval is None or interval.low is None or interval.high is None:
        return NOTHING
    return f"{number(interval.low)}..{number(interval.high)}"


def _span(reached: Sequence[int]) -> str:
    return f"{min(reached)}-{max(reached)}" if min(reached) < max(reached) else str(reached[0])


def _p(p: float | None) -> str:
    if p is None:
        return NOTHING
    return f"{p:.3f}" if p >= 0.0005 else f"{p:.0e}"
