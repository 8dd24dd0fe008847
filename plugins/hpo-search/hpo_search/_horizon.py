"""When a trial has nothing left to lose by going on."""

from __future__ import annotations

from hpo_core import Report, Trial


def at_end(trial: Trial, report: Report) -> bool:
    """Whether this was the trial's last epoch: stopping it now saves nothing and would not call it complete."""
    return trial.epochs is not None and report.step >= trial.epochs


def shown(trial: Trial, report: Report) -> str:
    """The study's metric as people know it (a score has its sign turned where less is better)."""
    return f"{report.metrics[trial.metric]:.4g}"
