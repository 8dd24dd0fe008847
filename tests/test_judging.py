"""Criteria are judged by what was measured, with how sure that is."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy
import pytest

from hpo_core import ClassReport, Evaluation
from hpo_core.registry.judging import stored, wilson


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
    assert [gate["reason"] for gate in nothing["gates"]] == [
        "it was not measured: it took too long"
    ]


def test_nothing_was_measured_on_no_images() -> None:
    """Or any accuracy would pass that an objective says without having looked at one."""
    found = stored(
        Evaluation(0, {"accuracy": 1.0, "ece": 0.0}), {"accuracy": 0.9, "calibration_error": 0.1}
    )
    assert [gate["passed"] for gate in found["gates"]] == [False, False]
    assert found["intervals"] == {}


@pytest.mark.parametrize("n", [1, 10, 30, 360])
def test_a_share_that_was_told_in_32_bits_meets_its_own_bound(n: int) -> None:
    for hits in range(n + 1):
        share = struct.unpack("f", struct.pack("f", hits / n))[0]
        (gate,) = stored(Evaluation(n, {"accuracy": share}), {"accuracy": hits / n})["gates"]
        assert gate["passed"] and gate["value"] == hits / n
        assert 0 <= gate["low"] <= hits / n <= gate["high"] <= 1
        if hits:
            (less,) = stored(Evaluation(n, {"accuracy": (hits - 1) / n}), {"accuracy": hits / n})[
                "gates"
            ]
            assert not less["passed"]


@pytest.mark.parametrize(
    ("accuracy", "bound", "passed"),
    [(0.0, 0.0, True), (0.0, 0.1, False), (1.0, 1.0, True), (1.0, 0.5, True)],
)
def test_one_image_says_nearly_nothing(accuracy: float, bound: float, passed: bool) -> None:
    (gate,) = stored(Evaluation(1, {"accuracy": accuracy}), {"accuracy": bound})["gates"]
    assert gate["passed"] is passed
    assert (gate["low"], gate["high"]) == pytest.approx(
        (0.0, 0.793) if not accuracy else (0.207, 1), abs=1e-3
    )
    assert gate["sure"] is (bound == 0.0)  # which nothing can fail


@pytest.mark.parametrize(
    ("metrics", "said"),
    [
        ({"accuracy": 97}, "accuracy 97, which is not from 0 to 1"),
        ({"accuracy": -0.1}, "not from 0 to 1"),
        ({"ece": 1.2}, "not from 0 to 1"),
        ({"latency_seconds": -1}, "not from 0"),
        ({"accuracy": None}, "None, which is no number"),
        ({"accuracy": True}, "True, which is no number"),
        ({"other": float("inf")}, "inf, which is no number"),
    ],
)
def test_numbers_that_no_criterion_can_be_judged_by(metrics: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Evaluation(10, metrics)


def test_numbers_of_numpys_are_taken() -> None:
    found = Evaluation(10, {"accuracy": numpy.float32(0.5), "latency_seconds": numpy.float64(2)})
    assert json.loads(json.dumps(found.to_json()))["metrics"] == {
        "accuracy": 0.5,
        "latency_seconds": 2.0,
    }


def test_an_evaluation_comes_back_from_json_and_has_only_numbers() -> None:
    found = evaluation([[1, 0], [0, 1]], ece=0.1)
    assert Evaluation.from_json(json.loads(json.dumps(found.to_json()))) == found
    with pytest.raises(ValueError, match="accuracy nan"):
        Evaluation(1, {"accuracy": float("nan")})
    with pytest.raises(ValueError, match="of -1 images"):
        Evaluation(-1)
