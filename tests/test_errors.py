"""The errors that a user sees: their text, their order, their exit codes."""

from __future__ import annotations

import pytest

from hpo_core import errors
from hpo_core.errors import HpoError, Problem, StudyFileError, nearest

TEXT = "study: a\nmetric: {nam: x}\n"


def test_a_problem_reads_as_place_path_message_and_suggestion_with_the_line_under_it() -> None:
    problem = Problem("metric.nam", "unknown key", 2, 10, suggestion="name")
    assert str(StudyFileError("s.yaml", [problem], TEXT)).splitlines() == [
        "s.yaml:2:10: metric.nam: unknown key - did you mean 'name'?",
        "    metric: {nam: x}",
        "             ^",
    ]


def test_problems_are_sorted_by_their_place() -> None:
    found = [Problem("b", "second", 2, 1), Problem("a", "first", 1, 5), Problem("", "nowhere")]
    lines = str(StudyFileError("s.yaml", found)).splitlines()
    assert lines == ["s.yaml:1:1: nowhere", "s.yaml:1:5: a: first", "s.yaml:2:1: b: second"]


def test_an_override_is_shown_instead_of_the_file() -> None:
    problem = Problem("seed", "no number", 1, 6, override="seed=x")
    shown = str(StudyFileError("s.yaml", [problem], TEXT)).splitlines()
    assert shown == ["override:1:6: seed: no number", "    seed=x", "         ^"]


@pytest.mark.parametrize(
    ("blames", "code"), [([False], 3), ([True], 4), ([True, False], 3), ([], 3)]
)
def test_only_problems_of_plugins_alone_exit_with_the_code_of_plugins(
    blames: list[bool], code: int
) -> None:
    problems = [Problem("", "x", plugin=plugin) for plugin in blames]
    assert StudyFileError("s.yaml", problems).exit_code == code


def test_what_would_move_the_cursor_is_not_printed() -> None:
    text = "a: \x1b[31mred\tx\n"
    shown = str(StudyFileError("s.yaml", [Problem("a\x1b", "bad\r\x9b", 1, 4)], text))
    assert not any(character in shown for character in "\x1b\x9b\r\t")
    assert shown.splitlines()[1].endswith("[31mred x")


def test_lines_are_those_of_the_yaml_parser() -> None:
    text = "a: 1\x0b\x0c\u2028b: 2"  # for str.splitlines there are four lines
    assert "    b: 2" in str(StudyFileError("s.yaml", [Problem("b", "bad", 2, 1)], text))


def test_a_long_line_is_shown_around_its_problem() -> None:
    text = "x" * 5000 + "y" + "z" * 5000
    _, line, caret = str(StudyFileError("s.yaml", [Problem("", "bad", 1, 5001)], text)).splitlines()
    assert len(line) < 210
    assert line[caret.index("^")] == "y"


def test_every_error_has_an_exit_code_of_its_own_or_its_parents() -> None:
    kinds = [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, HpoError)
    ]
    own = [kind.exit_code for kind in kinds if "exit_code" in vars(kind)]
    assert sorted(own) == [1, 2, 3, 4, 5, 6, 7, 8, 9]


@pytest.mark.parametrize(
    ("word", "meant"),
    [("n_trails", "n_trials"), ("Min-Epochs", "min_epochs"), ("xyz", None), ("", None)],
)
def test_nearest_finds_what_was_meant(word: str, meant: str | None) -> None:
    assert nearest(word, ["n_trials", "min_epochs"]) == meant
