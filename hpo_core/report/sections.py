"""The sections of a report, made of facts, in the order of the questions that people have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from hpo_core.report import course_figures, study_figures, thinning, trial_figures
from hpo_core.report.class_section import classes
from hpo_core.report.cost import Cost
from hpo_core.report.facts import Facts
from hpo_core.report.model_section import models
from hpo_core.report.parts import ROWS, Section, Table, drawn
from hpo_core.report.wording import cut, number, parameters, share, short, span, value

BEST = 20
"""Trials in the table of the best."""


def sections(facts: Facts) -> Iterator[Section]:
    """Every section that the study has something for."""
    shown = thinning.chosen(facts.ranked)
    note = thinning.said(len(shown), len(facts.ranked))
    thick = trial_figures.caption(facts)
    found = (
        Section("history", "History", drawings=drawn(study_figures.history(facts))),
        _best(facts),
        models(facts),
        _cost(facts.cost, facts),
        _importance(facts),
        Section(
            "parallel",
            "Parallel coordinates",
            [*_axes_left_out(facts), thick, trial_figures.gaps(facts), *note],
            drawn(trial_figures.parallel(facts, shown)),
        ),
        Section(
            "curves",
            f"{facts.metric} by epoch",
            [thick, *note],
            drawn(trial_figures.curves(facts, shown)),
        ),
        Section(
            "learning_rates",
            "Learning rate by epoch",
            note,
            drawn(trial_figures.learning_rates(facts, shown)),
        ),
        classes(facts),
        _survival(facts),
        _lineage(facts, note),
        _timeline(facts),
        _failures(facts),
        _environment(facts.environment),
        Section(
            "study",
            "Study file",
            ["As hpo understood it, defaults filled in."],
            text=facts.study_file,
        ),
    )
    return (section for section in found if section)


def _best(facts: Facts) -> Section:
    names = short(facts.parameters)
    rows = [
        (
            str(trial.number),
            number(trial.value),
            str(trial.epochs),
            trial.state,
            parameters(trial.params, names),
        )
        for trial in facts.ranked[:BEST]
    ]
    note = [f"The best {BEST} of {len(facts.ranked)}."] if len(facts.ranked) > BEST else []
    head = ("trial", facts.metric, "epochs", "state", "parameters")
    return Section("best", "The best trials", note, tables=[Table(head, rows)] if rows else [])


def _cost(cost: Cost, facts: Facts) -> Section:
    rows = [
        ("the study ran", span(cost.seconds), _runs(len(facts.course.drivers))),
        (
            "trials ran",
            span(cost.trial_seconds),
            "all attempts, one after the other or side by side",
        ),
        (
            "of that, for nothing",
            span(cost.failed_seconds),
            "trials that failed, attempts that were lost",
        ),
        (
            "epochs run",
            str(cost.epochs),
            f"{cost.repeated} of them again after an attempt was lost",
        ),
        ("epochs not run", str(cost.saved), f"{share(cost.share)} of {cost.full} without stopping"),
        (
            "stopping saved",
            f"about {span(cost.saved_seconds)}",
            "of trials' time, if the epochs that were not run had taken as long as the others",
        ),
    ]
    if not cost.saved:
        rows = rows[:-2]
    return Section(
        "cost", "What it cost, and what stopping saved", tables=[Table(("", "", ""), rows)]
    )


def _runs(count: int) -> str:
    return "in one go" if count == 1 else f"in {count} goes: it was stopped and continued"


def _importance(facts: Facts) -> Section:
    section = Section("importance", "Importance of the parameters")
    found = facts.importances
    if isinstance(found, str):
        section.tables = [Table(("",), [(found,)])] if facts.parameters else []
        return section
    when = "that completed" if found.epoch is None else f"by their best up to epoch {found.epoch}"
    section.prose = [
        f"Shares of what the parameters explain, by {found.evaluator} over {found.trials} trials {when}. A line "
        "spans the middle 90 % of what trials drawn anew from these say; pale: chance alone would say as much in more "
        "than one case of twenty.",
    ]
    if found.left_out:
        left = [f"{name} {why}" for name, why in found.left_out.items()]
        section.prose.append(cut(f"Left out: {', '.join(left)}.", 1000))
    section.drawings = drawn(study_figures.importance(facts))
    return section


def _axes_left_out(facts: Facts) -> list[str]:
    names = trial_figures.axes_of(facts)
    if len(facts.parameters) <= len(names):
        return []
    return [f"{len(names)} of {len(facts.parameters)} parameters have an axis."]


def _survival(facts: Facts) -> Section:
    section = Section("survival", "How far trials got")
    if not study_figures.stopped_early(facts):
        return section
    reached = study_figures.reached(facts)
    states = [s for s in study_figures.ENDED if any(ended[s] for _, _, ended in reached)]
    rows = [
        (str(epoch), str(alive), *(str(ended[state] or "") for state in states))
        for epoch, alive, ended in reached
        if ended
    ]
    head = ("epoch", "reached by", *(study_figures.ENDED[state] for state in states))
    section.prose = [
        "The trials that reached each epoch, and what became of those that got no further."
    ]
    section.drawings = drawn(study_figures.survival(facts))
    section.tables = [Table(head, rows[:ROWS], numbers=0)]
    return section


def _lineage(facts: Facts, note: Sequence[str]) -> Section:
    clones = facts.course.clones()
    section = Section("lineage", "Lineage")
    if not clones:
        return section
    section.prose = [
        f"{len(clones)} trials began with the checkpoint of another one, at the epoch of the arrow from it. Only "
        "trials with parents or clones are shown.",
        *note,
    ]
    section.drawings = drawn(course_figures.lineage(facts, thinning.chosen(facts.ranked)))
    rows = [
        (str(clone.trial), str(clone.parent), str(clone.parent_step), clone.why)
        for clone in clones[:ROWS]
    ]
    section.tables = [Table(("clone", "parent", "after epoch", "why it began"), rows)]
    return section


def _timeline(facts: Facts) -> Section:
    prose = ["Time in which nobody ran the study is left out."]
    if len(facts.course.drivers) > 1:
        prose.append("Dashed: the study was stopped here, and continued.")
    return Section("timeline", "Timeline", prose, drawn(course_figures.timeline(facts)))


def _failures(facts: Facts) -> Section:
    failed = [(trial.reason, trial.number) for trial in facts.trials if trial.failed]
    lost = [(each.reason, each.trial) for each in facts.course.attempts if each.ending == "lost"]
    section = Section("failures", "Failures and warnings")
    rows = [("trial failed", *row) for row in _grouped(failed)]
    rows += [("attempt lost", *row) for row in _grouped(lost)]
    rows += [("warning", *row) for row in _grouped((each, None) for each in facts.course.warnings)]
    if len(rows) > ROWS:
        section.prose = [f"The first {ROWS} of {len(rows)} kinds."]
    if rows:
        section.tables = [Table(("what", "times", "trials", "reason"), rows[:ROWS])]
    return section


def _grouped(found: Iterable[tuple[str, int | None]]) -> Iterator[tuple[str, str, str]]:
    """How often each reason was given, for which trials, and the reason; the commonest first."""
    numbers: dict[str, list[int]] = {}
    times: Counter[str] = Counter()
    for reason, trial in found:
        times[reason] += 1
        numbers.setdefault(reason, [])
        if trial is not None and trial not in numbers[reason]:
            numbers[reason].append(trial)
    for reason, count in times.most_common():
        shown = ", ".join(map(str, numbers[reason][:8]))
        yield str(count), shown + (" …" if len(numbers[reason]) > 8 else ""), cut(reason, 600)


def _environment(environment: Mapping[str, Any]) -> Section:
    rows = [(name, cut(said, 400)) for name, said in _flat(environment)]
    tables = [Table(("", ""), rows[:ROWS])] if rows else []
    return Section("environment", "Environment", tables=tables)


def _flat(tree: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(tree, dict):
        for key, item in tree.items():
            yield from _flat(item, f"{path}.{key}" if path else str(key))
    elif isinstance(tree, list) and tree:
        yield path, " ".join(map(str, tree))
    elif tree not in (None, "", []):
        yield path, value(tree)
