"""`hpo_core`: the engine of `hpo`, for programs and for plugins.

A program imports `Study`, `StudyResult`, `Model`, `Registry` and `Datasets`, which are loaded when they are first asked
for. A plugin imports the other names below (and `hpo_core.commands`, `hpo_core.sampling`, `hpo_core.testing`,
`hpo_core.workers` where it needs them); everything else may change without notice.
"""

import importlib
import typing

from hpo_core.contracts import (
    Batches,
    Dataset,
    Driven,
    Executor,
    InputShape,
    Interrupt,
    Labels,
    Operation,
    Part,
    Restored,
    Run,
    StudyInfo,
    Tracker,
    TrialStopped,
)
from hpo_core.errors import ExecutorError, HpoError, PluginError
from hpo_core.evaluation import Evaluation
from hpo_core.hookspecs import Register, hookimpl
from hpo_core.options import Component, Kind
from hpo_core.references import conceal
from hpo_core.scheduling import (
    CONTINUE,
    Clone,
    Decision,
    Next,
    Resume,
    SchedulerContext,
    Start,
    TrialScheduler,
    Verdict,
    Wait,
)
from hpo_core.space import Choice, Distribution, Float, Int, Scalar, Space
from hpo_core.trial import Checkpoint, ClassReport, Ending, Event, Goal, Outcome, Report, Trial

if typing.TYPE_CHECKING:
    from hpo_core.datasets.datasets import Datasets
    from hpo_core.facade.model import Model
    from hpo_core.facade.result import StudyResult
    from hpo_core.facade.study import Study
    from hpo_core.registry.registry import Registry

__version__ = "0.1.0"

_LATER = {
    "Datasets": "datasets.datasets",
    "Model": "facade.model",
    "Registry": "registry.registry",
    "Study": "facade.study",
    "StudyResult": "facade.result",
}


def __getattr__(name: str) -> typing.Any:
    if name not in _LATER:
        raise AttributeError(f"module 'hpo_core' has no attribute '{name}'")
    found = getattr(importlib.import_module(f"hpo_core.{_LATER[name]}"), name)
    globals()[name] = found  # asked for once
    return found


__all__ = [
    "CONTINUE",
    "Batches",
    "Checkpoint",
    "Choice",
    "ClassReport",
    "Clone",
    "Component",
    "Dataset",
    "Datasets",
    "Decision",
    "Distribution",
    "Driven",
    "Ending",
    "Evaluation",
    "Event",
    "Executor",
    "ExecutorError",
    "Float",
    "Goal",
    "HpoError",
    "InputShape",
    "Int",
    "Interrupt",
    "Kind",
    "Labels",
    "Model",
    "Next",
    "Operation",
    "Outcome",
    "Part",
    "PluginError",
    "Register",
    "Registry",
    "Report",
    "Restored",
    "Resume",
    "Run",
    "Scalar",
    "SchedulerContext",
    "Space",
    "Start",
    "Study",
    "StudyInfo",
    "StudyResult",
    "Tracker",
    "Trial",
    "TrialScheduler",
    "TrialStopped",
    "Verdict",
    "Wait",
    "conceal",
    "hookimpl",
]
