"""Whether a model that was trained again counts as the same, and what it was made with otherwise.

The same weights, bit for bit, are the same. Where they are others, because other libraries or another machine round
otherwise, the measure is the interval that the recorded accuracy has anyway.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hpo_core.evaluation import Evaluation
from hpo_core.registry import provenance
from hpo_core.registry.judging import stored
from hpo_core.registry.model_version import ModelVersion
from hpo_core.reproduction.result import Number, Reproduction
from hpo_core.results.trials import flat


def compared(
    version: ModelVersion,
    directory: str,
    metric: Number,
    weights: tuple[str, str],
    again: Evaluation | None,
    exact: bool,
) -> Reproduction:
    """What has come of training `version` again in `directory`; with `exact` only the same weights will do."""
    tested = tuple(_tested(version, again))
    accepted, reason = _judged(version, metric, tested, weights, again, exact)
    differences = tuple(_differences(version, again))
    return Reproduction(
        version.label, directory, metric, tested, weights, differences, accepted, reason
    )


def _tested(version: ModelVersion, again: Evaluation | None) -> Iterator[Number]:
    """The numbers of the evaluation, those that there are again; all of them where there is none."""
    recorded = (version.evaluation or {}).get("metrics") or {}
    found = {} if again is None else stored(again, {})["metrics"]
    for name, value in recorded.items():
        if name in found or again is None or again.reason:
            yield Number(name, value, found.get(name))


def _judged(
    version: ModelVersion,
    metric: Number,
    tested: tuple[Number, ...],
    weights: tuple[str, str],
    again: Evaluation | None,
    exact: bool,
) -> tuple[bool, str]:
    """Whether the result counts as the same, and why."""
    if again is not None and again.reason:
        return False, f"the new model could not be measured: {again.reason}"
    if weights[0] == weights[1]:
        return True, "the weights are the same, to the last bit"
    if exact:
        return False, "the weights are others"
    interval = ((version.evaluation or {}).get("intervals") or {}).get("accuracy")
    accuracy = next((each.again for each in tested if each.name == "accuracy"), None)
    if interval is None or accuracy is None:
        word = "is" if metric.same else "is not"
        said = f"no accuracy was measured on the test part, and {metric.name} {word} the same"
        return metric.same, said
    low, high = interval
    within = low <= accuracy <= high
    word = "within" if within else "outside of"
    said = f"the test accuracy is {word} the recorded one's 95 % interval, {low:.4f} to {high:.4f}"
    return within, said


def _differences(version: ModelVersion, again: Evaluation | None) -> Iterator[tuple[str, Any, Any]]:
    """What is not as it was: (what, recorded, now). The code is that of the working directory."""
    then = dict(flat(version.provenance.get("environment", {})))
    now = dict(flat(provenance.surroundings(Path.cwd())))
    for name in dict.fromkeys([*then, *now]):
        if then.get(name) != now.get(name):
            yield name, then.get(name), now.get(name)
    data = (version.evaluation or {}).get("data") or {}
    for name, value in data.items():
        if again is not None and again.data.get(name) != value:
            yield f"data.{name}", value, again.data.get(name)
