"""What both views say of the rarer events: trials that are paused, resumed, cloned, lost, and warnings.

A trial is spoken of by the epochs that it has behind it, so that a reader knows what a pause or a loss costs.
"""

from __future__ import annotations

from hpo_core.cli.progress import TrialProgress
from hpo_core.cli.wording import clean, count
from hpo_core.trial import Event

QUIET = frozenset(
    ["trial_started", "trial_paused", "late", "profile_enqueued", "profiles_left_out"]
)
"""Kinds that are nothing to worry about."""


def notice(event: Event, trial: TrialProgress | None) -> str | None:
    """One line about an event, or None where there is nothing to say; `trial` as it was before the event."""
    data = event.data
    match event.kind:
        case "trial_started":
            return _started(event, trial)
        case "trial_paused":
            return f"trial {event.trial} paused at epoch {data['steps']}{_why(event)}"
        case "trial_lost":
            follows = f"attempt {data['attempt'] + 1} follows"
            return f"trial {event.trial} lost {_after(data['steps'])}{_why(event)}, {follows}"
        case "trial_interrupted":
            after = _after(data["steps"])
            return f"trial {event.trial} interrupted {after}{_why(event)}, will be run again"
        case "late" if "step" in data:
            return f"trial {event.trial} attempt {data['attempt']} was given up: what it still says is dropped"
        case "warning":
            about = "" if event.trial is None else f"trial {event.trial}: "
            return f"warning: {about}{clean(data['reason'])}"
        case "profile_enqueued":
            left_out = "".join(f"; left out {clean(each)}" for each in data["left_out"])
            return f"profile of the {clean(data['component'])}: trial {data['number']}{left_out}"
        case "profiles_left_out":
            return f"profiles left out: {clean(data['reason'])}"
        case "study_changed":
            return f"changed   {clean(data['change'])}"
        case "tracker_disabled":
            return (
                f"warning: tracker {clean(data['tracker'])} switched off: {clean(data['reason'])}"
            )
        case "model_skipped":
            return f"warning: no model version was made: {clean(data['reason'])}"
        case _:
            return None


def _started(event: Event, trial: TrialProgress | None) -> str | None:
    """How a trial begins, if it is not an ordinary new one."""
    data = event.data
    match data["origin"]:
        case "cloned":
            donor = f"trial {data['parent']} {_at(data['parent_step'])}"
            return f"trial {event.trial} cloned from {donor}{_why(event)}"
        case "resumed":
            at = f" {_at(trial.saved)}" if trial is not None else ""
            return f"trial {event.trial} resumed{at}{_why(event)}"
        case "retried":
            at = f" {_at(trial.saved)}" if trial is not None else ""
            return f"trial {event.trial} runs again{at} (attempt {data['attempt']})"
        case _:
            return None


def _at(step: int) -> str:
    """Where an attempt goes on: after the epoch of a checkpoint, or from the first epoch where there is none."""
    return f"at epoch {step}" if step else "from its first epoch"


def _after(steps: int) -> str:
    return f"after {count(steps, 'epoch')}"


def _why(event: Event) -> str:
    reason = clean(event.data.get("reason") or "")
    return f" ({reason})" if reason else ""
