"""What a name in a question means: an attribute of a trial, a metric, an option.

`metrics.val_loss`, `params.optimizer.lr` and `attributes.state` say which. A bare name is looked for among all three,
in the order attribute, metric, option; an option may be named by its last words alone (`lr`) where that is
unambiguous.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from hpo_core.errors import UsageError, nearest
from hpo_core.results.trials import ResultTrial

ATTRIBUTES = ("study", "number", "state", "value", "epochs", "attempt", "seconds", "reason")

Sort = Literal["attributes", "metrics", "params"]


@dataclass(frozen=True)
class Key:
    """A name that is understood. Metrics are those of the trial's best epoch."""

    sort: Sort
    name: str

    def of(self, trial: ResultTrial) -> Any:
        """What a trial has under it, or None."""
        if self.sort == "attributes":
            return getattr(trial, self.name)
        if self.sort == "metrics":
            return trial.metrics.get(self.name)
        return trial.options.get(self.name, trial.params.get(self.name))


class Names:
    """The names that the trials at hand have."""

    def __init__(self, trials: Iterable[ResultTrial]) -> None:
        metrics: dict[str, None] = {}
        options: dict[str, None] = {}
        params: dict[str, None] = {}
        for trial in trials:
            metrics.update(dict.fromkeys(trial.curves))
            options.update(dict.fromkeys(trial.options))
            params.update(dict.fromkeys(trial.params))
        self.metrics, self.options = list(metrics), list(options)
        self.params = [name for name in params if name not in options]

    def key(self, text: str) -> Key:
        """What `text` means. Raises UsageError with the nearest name, or with those that it could mean."""
        sort, _, rest = text.partition(".")
        if sort in ("metrics", "params", "attributes") and rest:
            found = self._of_sort(sort, rest)
        else:
            found = next(
                (
                    key
                    for sort in ("attributes", "metrics", "params")
                    if (key := self._of_sort(sort, text)) is not None
                ),
                None,
            )
        if found is None:
            raise UsageError(f"no trial has a '{text}'{self._hint(rest or text)}")
        return found

    def option(self, text: str) -> Key:
        """As `key`, but an option, or `study`."""
        if text == "study":
            return Key("attributes", "study")
        found = self._of_sort("params", text)
        if found is None:
            guess = nearest(text, [*self.options, *self.params, "study"])
            hint = f" - did you mean '{guess}'?" if guess else ""
            raise UsageError(f"no trial has an option '{text}'{hint}")
        return found

    def metric(self, text: str) -> str:
        """A metric's name. Raises UsageError with the nearest one."""
        if text not in self.metrics:
            guess = nearest(text, self.metrics)
            known = ", ".join(sorted(self.metrics)) or "none"
            hint = f" - did you mean '{guess}'?" if guess else f" (there is: {known})"
            raise UsageError(f"no trial reported a metric '{text}'{hint}")
        return text

    def _of_sort(self, sort: str, text: str) -> Key | None:
        if sort == "attributes":
            return Key("attributes", text) if text in ATTRIBUTES else None
        if sort == "metrics":
            return Key("metrics", text) if text in self.metrics else None
        for names in (self.options, self.params):
            if text in names:
                return Key("params", text)
        for names in (self.options, self.params):
            ending = [name for name in names if name.endswith(f".{text}")]
            if len(ending) > 1:
                raise UsageError(f"'{text}' could be {', '.join(ending)}: name one of them in full")
            if ending:
                return Key("params", ending[0])
        return None

    def _hint(self, text: str) -> str:
        known = [*ATTRIBUTES, *self.metrics, *self.options, *self.params]
        tails = {name.split(".")[-1]: name for name in known}
        guess = nearest(text, known) or tails.get(nearest(text, tails) or "")
        return f" - did you mean '{guess}'?" if guess else ""
