"""`hpo_core`: the engine of `hpo`, and what its plugins may use.

A plugin imports the names below (and `hpo_core.sampling`, `hpo_core.testing` where it needs them); everything else may
change without notice.
"""

from hpo_core.contracts import (
    Batches,
    Dataset,
    Driven,
    Executor,
    InputShape,
    Interrupt,
    Part,
    Run,
    StudyInfo,
    Tracker,
    TrialStopped,
)
from hpo_core.errors import HpoError, PluginError
from hpo_core.hookspecs import Register, hookimpl
from hpo_core.options import Component, Kind
from hpo_core.scheduling import CONTINUE, Decision, TrialScheduler, Verdict
from hpo_core.space import Choice, Distribution, Float, Int, Scalar, Space
from hpo_core.trial import Ending, Event, Goal, Outcome, Report, Trial

__version__ = "0.1.0"

__all__ = [
    "CONTINUE",
    "Batches",
    "Choice",
    "Component",
    "Dataset",
    "Decision",
    "Distribution",
    "Driven",
    "Ending",
    "Event",
    "Executor",
    "Float",
    "Goal",
    "HpoError",
    "InputShape",
    "Int",
    "Interrupt",
    "Kind",
    "Outcome",
    "Part",
    "PluginError",
    "Register",
    "Report",
    "Run",
    "Scalar",
    "Space",
    "StudyInfo",
    "Tracker",
    "Trial",
    "TrialScheduler",
    "TrialStopped",
    "Verdict",
    "hookimpl",
]
