"""The executor `inline`: trials one after another in this process.

For objectives that take milliseconds, and for a debugger, which cannot follow a trial into another process. What an
objective prints goes to standard error, because standard output carries the study's data. Nothing guards this process
from an objective that crashes, hoards memory or never returns: that is what `processes` is for. What an attempt held is
not known either, since it shares its process with the study and with the trials before it.
"""

from __future__ import annotations

import sys
from contextlib import redirect_stdout

from hpo_core import Decision, Driven, Interrupt, Outcome, Report, Trial
from hpo_core.catalog import Catalog
from hpo_core.execution import execute
from hpo_core.plugins import load
from hpo_core.workers.log import not_logged, write_traceback


class Inline:
    """Runs trials one after the other in the driver's own process (a `hpo_core.Executor`)."""

    def run(self, study: Driven, interrupt: Interrupt) -> None:
        """See `hpo_core.Executor.run`. A KeyboardInterrupt inside an objective passes through."""
        catalog, _ = load()
        while not interrupt.now:
            trial = study.ask()
            if trial is None:
                break
            study.finish(trial, run_here(trial, catalog, study))
        study.commit()


def run_here(trial: Trial, catalog: Catalog, study: Driven) -> Outcome:
    """Run a trial to its end; a traceback goes to its log. Raises what the study raises."""
    data = sys.stdout
    troubles: list[Exception] = []

    def send(report: Report) -> Decision:
        try:
            with redirect_stdout(data):  # the study's observers write there, the objective does not
                return study.report(trial, report)
        except Exception as error:
            troubles.append(error)
            raise

    with redirect_stdout(sys.stderr):
        outcome = execute(trial, catalog, send)
    if troubles:  # the study's own, raised inside the objective: no fault of the trial
        raise troubles[0]
    try:
        write_traceback(trial, outcome)
    except OSError as error:
        return not_logged(trial, error)
    return outcome
