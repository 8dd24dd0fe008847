"""What is said of a study when a run of it begins and ends: in its events, and beside it in a dashboard."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo_core.spec import StudySpec
from hpo_core.storage import database

if TYPE_CHECKING:  # it imports Optuna; a finished study must answer without
    from hpo_core.study import DrivenStudy


def opening(spec: StudySpec, study: DrivenStudy) -> dict[str, Any]:
    """The data of `study_started`."""
    return {
        "study": spec.study,
        "metric": spec.metric,
        "goal": spec.goal,
        **standing(study),
        "continued": study.begun,
        "objective": dict(spec.objective),
        "sampler": spec.sampler["name"],
        "trial_scheduler": spec.trial_scheduler["name"],
        "executor": spec.executor["name"],
        "storage": database.display(spec.storage),
        "directory": str(Path(spec.directory, spec.study)),
        **({} if study.store is None else {"checkpoints": study.store}),
        **leading(study),
    }


def standing(study: DrivenStudy) -> dict[str, Any]:
    """What every event that ends a run says of the budget."""
    return {
        "finished": study.finished,
        "target": study.budget.trials,
        "epochs": study.epochs,
        "seconds": round(study.seconds, 1),
        "budget": asdict(study.budget),
    }


def leading(study: DrivenStudy) -> dict[str, Any]:
    """The best trial so far, as events have it."""
    best = study.best()
    if best is None:
        return {"best_trial": None, "best_value": None, "best_params": None}
    return {
        "best_trial": best.number,
        "best_value": best.value,
        "best_params": dict(best.params),
    }


def why(study: DrivenStudy) -> str:
    """Why a study ended, where it is not that its trials are done."""
    return "" if study.finished == study.budget.trials else study.over or ""


def description(spec: StudySpec, environment: Mapping[str, Any]) -> dict[str, Any]:
    """What a dashboard shows beside the study: nothing secret, references stand unresolved."""
    return {
        "objective": spec.objective["name"],
        "sampler": spec.sampler["name"],
        "trial_scheduler": spec.trial_scheduler["name"],
        "seed": spec.seed,
        "budget": ", ".join(
            f"{number:g} {unit}"
            for unit, number in asdict(spec.budget).items()
            if number is not None and unit != "max_attempts"
        ),
        "git_commit": environment["git_commit"],
        "versions": ", ".join(
            f"{name} {version}" for name, version in environment["versions"].items()
        ),
    }
