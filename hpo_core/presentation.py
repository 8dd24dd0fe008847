"""The end of a study: what optuna-dashboard is to show of its best trial.

Its learning curves and its confusion matrix become user plots of the study, in the commit that ends it, and files
beside them: only the driver writes, so a dashboard needs to do nothing but show them. A study whose objective says
nothing of classes has a plot of the curves alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import Engine

from hpo_core.results import class_files, class_reports, trials, user_plots
from hpo_core.results.trials import ResultTrial
from hpo_core.storage import outages
from hpo_core.storage.studies import StudyRecord
from hpo_core.trial import ClassReport

if TYPE_CHECKING:  # it imports Optuna; a finished study must answer without
    from hpo_core.study import DrivenStudy


def show_best(engine: Engine, record: StudyRecord, study: DrivenStudy) -> None:
    """Make the plots of the best trial; the study's next commit stores them. Raises StorageError."""

    def act(_: bool) -> None:
        best = study.best()
        if best is not None:
            _show(engine, record, study, best.number)

    outages.outlast(act, lambda sentence: study.note("warning", reason=sentence))


def _show(engine: Engine, record: StudyRecord, study: DrivenStudy, number: int) -> None:
    (trial,) = trials.read(engine, record, number=number)
    if trial.curves:
        study.plot(user_plots.CURVES, user_plots.curves(trial))
    figure = None
    if class_reports.steps(engine, record, number):
        step, report = class_reports.read(engine, record, trial)
        figure = user_plots.confusion(report, number, step)
        _attach(study, trial, step, report)
    if figure is not None:
        study.plot(user_plots.CONFUSION, figure)
    elif study.plotted(user_plots.CONFUSION):  # that of a trial which was the best before
        study.plot(user_plots.CONFUSION, user_plots.nothing(number))


def _attach(study: DrivenStudy, trial: ResultTrial, step: int, report: ClassReport) -> None:
    if len(report.classes) <= user_plots.CLASSES:
        title = f"{trial.study}, trial {trial.number}, epoch {step}"
        drawn = class_files.confusion(report, title)
        study.attach("confusion_matrix.svg", "image/svg+xml", drawn)
    study.attach("per_class.csv", "text/csv", class_files.per_class(report))
    study.attach("learning_curves.csv", "text/csv", class_files.learning_curves(trial))
