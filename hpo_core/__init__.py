"""`hpo_core`: the engine of `hpo`, and what its plugins may use.

A plugin imports the names below (and `hpo_core.commands`, `hpo_core.sampling`, `hpo_core.testing`, `hpo_core.workers`
where it needs them); everything else may change without notice.
"""

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

__version__ = "0.1.0"

__all__ = [
    "CONTINUE",
    "Batches",
    "Checkpoint",
    "Choice",
    "ClassReport",
    "Clone",
    "Component",
    "Dataset",
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
    "Next",
    "Operation",
    "Outcome",
    "Part",
    "PluginError",
    "Register",
    "Report",
    "Restored",
    "Resume",
    "Run",
    "Scalar",
    "SchedulerContext",
    "Space",
    "Start",
    "StudyInfo",
    "Tracker",
    "Trial",
    "TrialScheduler",
    "TrialStopped",
    "Verdict",
    "Wait",
    "hookimpl",
]
