"""Criteria are judged by what was measured, with how sure that is."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hpo_core import ClassReport, Evaluation
from hpo_core.registry.judging import failed, stored, wilson


def report(confusion: list[list[int]]) -> ClassReport:
    """What is mistaken for what, by label and guess."""
    size = len(confusion)
    recall = [row[i] / sum(row) if sum(row) else 0.0 for i, row in enumerate(confusion)]
    pairs = [(i, j, n) for i, row in enumerate(confusion) for j, n in enumerate(row) if n]
    names = tuple("abcdefgh"[:size])
    return ClassReport(names, (0.0,) * size, tuple(recall), (0.0,) * size, tuple(pairs))


def evaluation(confusion: list[list[int]], **metrics: float) -> Evaluation:
    n = sum(map(sum, confusion))
    right = sum(confusion[i][i] for i in range(len(confusion)))
    return Evaluation(n, {"accuracy": right / n, **metrics}, report(confusion))


def judged(found: Evaluation, **criteria: float) -> dict[str, Any]:
    """The gates by name, as they come back from JSON."""
    document = json.loads(json.dumps(stored(found, criteria)))
    return {gate["name"]: gate for gate in document["gates"]}


def test_the_interval_is_wilsons() -> None:
    # by hand, and as in requirement 1.25: 17 of 20 say little
    assert wilson(17, 20) == pytest.approx((0.6396, 0.9476), abs=1e-4)
    assert wilson(0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)
    assert wilson(10, 10) == pytest.approx((0.7225, 1.0), abs=1e-4)
    assert wilson(0, 0) == (0.0, 1.0)
    assert wilson(500, 1000) == pytest.approx((0.4691, 0.5309), abs=1e-4)


def test_a_share_passes_by_what_was_measured_and_says_how_sure_that_is() -> None:
    found = evaluation([[17, 3], [3, 17]])
    gate = judged(found, accuracy=0.8)["accuracy"]
    assert (gate["value"], gate["bound"], gate["n"], gate["passed"]) == (0.85, 0.8, 40, True)
    assert gate["low"] < 0.8 < gate["high"] and gate["sure"] is False
    assert "does not exclude failure" in gate["reason"]
    assert judged(found, accuracy=0.5)["accuracy"]["sure"] is True
    low = judged(found, accuracy=0.9)["accuracy"]
    assert not low["passed"] and "does not exclude success" in low["reason"]
    assert judged(found, accuracy=0.99)["accuracy"]["sure"] is True


def test_the_worst_class_is_judged_by_its_own_images() -> None:
    gate = judged(evaluation([[99, 1], [2, 8]]), per_class_recall=0.85)["per_class_recall"]
    assert (gate["value"], gate["n"], gate["class"], gate["passed"]) == (0.8, 10, "b", False)
    assert "class 'b'" in gate["reason"] and "10 images" in gate["reason"]
    without = evaluation([[9, 1, 0], [1, 9, 0], [0, 0, 0]])  # nothing is known of the third
    assert judged(without, per_class_recall=0.85)["per_class_recall"]["passed"]


def test_a_model_that_has_collapsed_to_one_class_trips_the_gate() -> None:
    """The failure of requirement 1.17: every image is taken for one class, which accuracy alone may hide."""
    collapsed = evaluation([[25, 0, 0, 0], [25, 0, 0, 0], [25, 0, 0, 0], [25, 0, 0, 0]])
    gate = judged(collapsed, largest_share=0.4)["largest_share"]
    assert (gate["value"], gate["class"], gate["passed"], gate["sure"]) == (1.0, "a", False, True)
    half = evaluation([[25, 0, 0, 0], [12, 13, 0, 0], [9, 0, 16, 0], [0, 0, 0, 25]])
    assert judged(half, largest_share=0.4)["largest_share"]["value"] == 0.46
    fair = evaluation([[20, 5, 0, 0], [0, 25, 0, 0], [0, 0, 25, 0], [0, 0, 5, 20]])
    assert judged(fair, largest_share=0.4)["largest_share"]["passed"]


def test_calibration_and_latency_are_upper_bounds() -> None:
    gates = judged(
        evaluation([[9, 1], [1, 9]], ece=0.12, latency_seconds=0.02),
        calibration_error=0.1,
        latency_seconds=5,
    )
    assert not gates["calibration_error"]["passed"]
    assert gates["calibration_error"]["reason"] == "0.12, which is more than 0.1"
    assert gates["latency_seconds"]["passed"]
    assert gates["latency_seconds"]["low"] is None


def test_what_was_not_measured_has_not_passed() -> None:
    gates = judged(Evaluation(10, {"accuracy": 1.0}), per_class_recall=0.5, accuracy=0.5)
    assert gates["accuracy"]["passed"] and not gates["per_class_recall"]["passed"]
    assert gates["per_class_recall"]["value"] is None
    nothing = stored(Evaluation(reason="it took too long"), {"accuracy": 0.5})
    assert list(failed(nothing)) == ["accuracy: it was not measured: it took too long"]


def test_an_evaluation_comes_back_from_json_and_has_only_numbers() -> None:
    found = evaluation([[1, 0], [0, 1]], ece=0.1)
    assert Evaluation.from_json(json.loads(json.dumps(found.to_json()))) == found
    with pytest.raises(ValueError, match="accuracy nan"):
        Evaluation(1, {"accuracy": float("nan")})
    with pytest.raises(ValueError, match="of -1 images"):
        Evaluation(-1)
