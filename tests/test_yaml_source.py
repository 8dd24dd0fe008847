"""Study files as text: scalars, places, overrides, and everything a file can do to a parser."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo_core.errors import HpoError, StudyFileError, UsageError
from hpo_core.yaml_scalars import resolve
from hpo_core.yaml_source import Source, apply_override, parse, read
from hpo_core.yaml_tree import MAX_DEPTH, MAX_NODES, Mark


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("1.", 1.0),
        (".5", 0.5),
        ("-2.5E+3", -2500.0),
        (".inf", math.inf),
        ("-.INF", -math.inf),
        ("+1", 1),
        ("0777", 777),
        ("0o17", 15),
        ("0x1F", 31),
        ("-9223372036854775808", -(2**63)),
        ("true", True),
        ("False", False),
        ("~", None),
        ("", None),
        ("Null", None),
    ],
)
def test_plain_scalars_are_those_of_yaml_1_2(text: str, value: Any) -> None:
    assert repr(resolve(text)) == repr(value)


@pytest.mark.parametrize(
    "text",
    "no on yes off y tRue nULL 1:30 2024-01-01 1_000 0b11 0O17 -0x1F .Infinity nan inf 1e 1e5.0 . -".split(),
)
def test_everything_else_is_text(text: str) -> None:
    assert resolve(text) == text


def test_nan_is_a_number() -> None:
    assert math.isnan(resolve(".NaN"))


@given(st.text("0123456789+-.eEoxfinaINA_:~", max_size=12))
def test_no_scalar_is_resolved_to_anything_but_json(text: str) -> None:
    assert resolve(text) is None or isinstance(resolve(text), str | int | float)


STUDY = """\
study: a
objective:
  lr: {float: [1e-4, 1]}
  items:
    - one
    - two: 2
"""


def test_marks_are_keys_in_mappings_and_items_in_lists() -> None:
    source = parse(STUDY, "s.yaml")
    assert source.data["objective"]["items"] == ["one", {"two": 2}]
    assert source.mark(("study",)) == Mark(1, 1)
    assert source.mark(("objective", "lr", "float")) == Mark(3, 8)
    assert source.mark(("objective", "lr", "float", 1)) == Mark(3, 22)
    assert source.mark(("objective", "items", 1, "two")) == Mark(6, 7)


def test_what_is_not_there_is_blamed_on_what_is_around_it() -> None:
    source = parse(STUDY, "s.yaml")
    assert source.mark(("objective", "items", 0, "deeper", 7)) == Mark(5, 7)
    assert source.mark(("nowhere",)) == Mark(1, 1)


def _fails(text: str) -> StudyFileError:
    with pytest.raises(StudyFileError) as caught:
        parse(text, "s.yaml")
    assert caught.value.exit_code == 3
    return caught.value


BOMB = "a: &a [1,1,1,1,1,1,1,1,1,1]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{before}'] * 10)}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "place", "fragment"),
    [
        ("", "1:1", "empty"),
        ("# only a comment\n", "1:1", "empty"),
        ("---\n", "1:1", "empty"),
        ("- a\n", "1:1", "a study file is a mapping"),
        ("just text", "1:1", "a study file is a mapping"),
        ("a: 1\n---\nb: 2\n", "2:1", "second document"),
        ("a:\n\tb: 1\n", "2:1", "a tab"),
        ("a:\n  b: x\n  \tc: 1\n", "3:3", "a tab"),
        ("a: {b: 1\nc: 2\n", "2:2", "not YAML: while parsing a flow mapping"),
        ("a: 'x", "1:6", "end of stream"),
        ("a: @x", "1:4", "cannot start any token"),
        ("a: b: c", "1:5", "mapping values are not allowed here"),
        ("a: 1\nb: 2\na: 3\n", "3:1", "a: the key is given twice, first at 1:1"),
        ("a: {b: 1, 'b': 2}", "1:11", "a.b: the key is given twice, first at 1:5"),
        ("1: a", "1:1", "a key must be text, got 1: put it in quotes"),
        ("true: a", "1:1", "got true"),
        ("? [a]\n: b", "1:3", 'got ["a"]'),
        ("~: b", "1:1", "got null"),
        ("a: !!python/object/apply:os.system [ls]", "1:4", "take !!python/object/apply:os.system"),
        ("a: !mine x", "1:4", "take !mine away"),
        ("a: *b", "1:4", "there is no anchor '&b'"),
        ("a: &a [*a]", "1:8", "the alias '*a' stands inside itself"),
        (BOMB, "4:29", f"more than {MAX_NODES} values"),
        ("a: " + "[" * 60, f"1:{MAX_DEPTH + 4}", f"more than {MAX_DEPTH} levels"),
        ("a: " + "9" * 5000, "1:4", "(5000 digits) does not fit into 64 bits"),
        ("a: 0x8000000000000000", "1:4", "does not fit into 64 bits"),
        ("a: b\x00c", "1:5", "control character U+0000"),
        ("a:\n  - b\x1b", "2:6", "control character U+001B"),
        ('a: "b\\0"', "1:4", "text holds the control character U+0000"),
        ('a: "\\ud800"', "1:4", "text holds the control character U+D800"),
        ('a: "\\UFFFFFFFF"', "1:7", "out of range"),
        (f"%YAML 1.{'9' * 5000}\n---\na: 1", "1:9", "out of range"),
        ("%YAML 2.0\n---\na: 1", "1:1", "incompatible YAML"),
    ],
)
def test_a_bad_text_is_blamed_where_it_is_bad(text: str, place: str, fragment: str) -> None:
    message = str(_fails(text))
    assert message.startswith(f"s.yaml:{place}: ")
    assert fragment in message.splitlines()[0]


def test_an_alias_chain_cannot_go_deeper_than_the_limit() -> None:
    deep = "[" * 20 + "x" + "]" * 20
    text = f"a: &a {deep}\n" + "".join(
        f"{name}: &{name} {deep.replace('x', f'*{before}')}\n" for before, name in ("ab", "bc")
    )
    assert "levels deep" in str(_fails(text))


def test_an_alias_is_a_copy_of_its_anchor() -> None:
    assert parse("a: &x {b: 1}\nc: *x\n", "s").data == {"a": {"b": 1}, "c": {"b": 1}}


def test_several_problems_are_told_at_once() -> None:
    error = _fails("a: 1\na: 2\n3: x\nb: !t y\nc: {d: 1, d: 2}\ne: [")
    assert [problem.line for problem in error.problems] == [2, 3, 4, 5, 6]


def test_the_nearest_file_is_suggested_for_one_that_is_missing(tmp_path: Path) -> None:
    (tmp_path / "resnet.yaml").touch()
    with pytest.raises(StudyFileError, match=r"no such file - did you mean 'resnet\.yaml'"):
        read(tmp_path / "resnt.yaml")


def test_a_folder_is_no_study(tmp_path: Path) -> None:
    with pytest.raises(StudyFileError, match="this is a folder"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("data", "place", "fragment"),
    [
        (b"a: b\nc: \xff\n", "2:4", "not UTF-8: byte 0xFF"),
        ("a: b".encode("utf-16"), "1:1", "not UTF-8"),
        (b"#" * 1_000_001, "1:1", "larger than 1,000,000 bytes"),
    ],
)
def test_bytes_that_are_no_text_are_refused(
    tmp_path: Path, data: bytes, place: str, fragment: str
) -> None:
    path = tmp_path / "s.yaml"
    path.write_bytes(data)
    with pytest.raises(StudyFileError) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path}:{place}: ")
    assert fragment in str(caught.value)


def test_a_byte_order_mark_and_windows_lines_are_accepted(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_bytes("\ufeffa: é\r\nb: 2\r\n".encode())
    source = read(path)
    assert source.data == {"a": "é", "b": 2}
    assert source.mark(("b",)) == Mark(2, 1)


BASE = parse("sampler: tpe\nobjective:\n  epochs: 9\n  items: [1, {a: 2}]\n", "s.yaml")


@pytest.mark.parametrize(
    ("override", "keys", "value"),
    [
        ("objective.epochs=3", ["objective", "epochs"], 3),
        ("objective.epochs=", ["objective", "epochs"], None),
        ("executor.name=ray", ["executor", "name"], "ray"),
        ("storage=sqlite:///a.db?x=1", ["storage"], "sqlite:///a.db?x=1"),
        ("objective.lr={float: [0.1, 1]}", ["objective", "lr"], {"float": [0.1, 1]}),
        ("objective.items.1.a=no", ["objective", "items", 1, "a"], "no"),
        ("objective.items.0=1e-3", ["objective", "items", 0], 0.001),
        ("sampler=random", ["sampler"], "random"),
        ("sampler.n=5", ["sampler"], {"name": "tpe", "n": 5}),
    ],
)
def test_an_override_puts_its_value_under_its_keys(override: str, keys: Any, value: Any) -> None:
    place: Any = apply_override(BASE, override).data
    for key in keys:
        place = place[key]
    assert place == value


def test_an_override_leaves_the_source_and_the_rest_as_they_were() -> None:
    before = repr(BASE)
    changed = apply_override(BASE, "objective.items.1.a=3")
    assert repr(BASE) == before
    assert changed.data["objective"]["epochs"] == 9
    assert changed.mark(("objective", "epochs")) == BASE.mark(("objective", "epochs"))


def test_the_marks_of_an_overridden_part_lie_in_the_override() -> None:
    text = "objective.items= [{b: 1}, x]"
    source = apply_override(BASE, text)
    assert source.mark(("objective", "items")) == Mark(1, 1, text)
    assert source.mark(("objective", "items", 0, "b")) == Mark(1, text.index("b: ") + 1, text)
    assert source.mark(("objective", "items", 1, "a")) == Mark(1, text.index("x]") + 1, text)


@pytest.mark.parametrize(
    "text", ["x", "=1", ".=1", "a..b=1", "", "a.=1", ".".join("a" * 60) + "=1"]
)
def test_an_override_without_key_or_equals_sign_is_a_mistake_of_usage(text: str) -> None:
    with pytest.raises(UsageError, match=r"write key\.path=value"):
        apply_override(BASE, text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("objective.epochs.x=1", "override:1:1: 'objective.epochs' is 9, which has nothing inside"),
        ("objective.items.2=1", "override:1:1: 'objective.items' has items 0 to 1, not '2'"),
        ("objective.items.a=1", "override:1:1: 'objective.items' has items 0 to 1, not 'a'"),
        ("x= {a: 1, a: 2}", "override:1:11: x.a: the key is given twice, first at 1:3"),
        ("x=[", "override:1:4: x: not YAML: "),
        ("x=a\n---\nb", "override:2:1: x: a second document"),
    ],
)
def test_an_override_that_makes_no_sense_is_shown(text: str, message: str) -> None:
    with pytest.raises(StudyFileError) as caught:
        apply_override(BASE, text)
    assert str(caught.value).startswith(message)


@given(st.text("ab{}[]:,'\"\\ &*!-#\t\n%@|>?1.x=\ufeff\x00\x85", max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    for attempt in (lambda: parse(text, "s"), lambda: apply_override(BASE, text)):
        try:
            assert isinstance(attempt(), Source)
        except HpoError as error:
            assert error.exit_code in (2, 3)  # both outcomes are right
