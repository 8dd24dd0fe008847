"""`hpo lr-schedulers`: what it lists and draws is what studies get."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hpo_torch import commands
from hpo_torch.commands import app
from typer.testing import CliRunner

from hpo_core import HpoError
from hpo_core.testing.distributions import use_distributions, write_distribution

RUNNER = CliRunner()
README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def called(*words: str) -> str:
    result = RUNNER.invoke(app, words, catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def test_the_readme_has_every_name() -> None:
    from hpo_torch.lr_schedulers.catalogue import FAMILIES

    for names in FAMILIES.values():
        assert all(f"{number} `{name}`" in README for number, name in names.items())


def test_the_readmes_own_is_a_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = README.split("```python\n")[1].split("```")[0]
    write_distribution(tmp_path, "hpo-breath", source, plugin="breath")
    use_distributions(monkeypatch, tmp_path)
    document = json.loads(called("show", "breath", "--steps", "8", "--json", "n=2"))
    assert document["rates"] == pytest.approx([1, 0.5, 0, 0.5] * 2)
    assert document["ranges"] == {"n": {"int": [2, 8]}}


def test_list_has_every_name_once() -> None:
    lines = called("list").splitlines()
    assert any(line.startswith("A0_001, step ") and "every, gamma" in line for line in lines)
    assert sum("A0_" in line.split(",")[0] for line in lines) == 35
    document = json.loads(called("list", "--json"))
    names = [name for each in document for name in each["names"]]
    assert len(names) == len(set(names)) >= 100


def test_show_draws_the_curve_and_the_ranges() -> None:
    text = called("show", "step", "--steps", "30", "every=0.5")
    assert "A0_001, step  (plugin torch)" in text and "gamma^⌊t / S⌋" in text
    rows = [line for line in text.splitlines() if "│" in line]
    assert len(rows) == commands.ROWS
    assert rows[0].startswith("   1 │⠉") and rows[-1] == "   0 │"
    assert "step 29" in text
    assert text.endswith(
        "lr_scheduler:\n"
        "  name: step\n"
        "  every: {float: [0.1, 0.6]}\n"
        "  gamma: {float: [0.05, 0.7], log: true}\n"
    )


def test_show_as_json_has_the_rates() -> None:
    document = json.loads(called("show", "A0_034", "--steps", "8", "--json", "swa_start=0.5"))
    assert document["average_from"] == 4 and document["options"]["swa_start"] == 0.5
    assert document["rates"][0] == 1.0 and len(document["rates"]) == 8
    assert document["names"] == ["A0_034", "swa-cosine"]


def test_what_is_assumed_is_said() -> None:
    assert "a validation loss that never falls" in called("show", "plateau")
    assert "epoch 99" in called("show", "plateau")
    assert "weights are averaged from step 75" in called("show", "swa-linear")
    assert "no range to search is suggested" in called("show", "constant")


@pytest.mark.parametrize("total", ["1", "2", "10000"])
def test_a_run_of_any_length_is_drawn(total: str) -> None:
    assert f"step {int(total) - 1}" in called("show", "cosine-restarts", "--steps", total)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("A0_1",),
            r"^there is no LR scheduler 'A0_1' - did you mean 'A0_031'\? \(hpo list lr-schedulers",
        ),
        (("step", "evry=0.5"), "has no option 'evry' - did you mean 'every'"),
        (("step", "every=2"), "less than or equal to 1"),
        (("step", "every={float: [0.1, 0.2]}"), "only options of the objective can be searched"),
    ],
)
def test_mistakes_are_named(words: tuple[str, ...], message: str) -> None:
    with pytest.raises(HpoError, match=message):
        called("show", *words)


def test_a_png_is_written(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    file = tmp_path / "curve.png"
    called("show", "swa-cosine", "--png", str(file))
    assert file.read_bytes().startswith(b"\x89PNG") and file.stat().st_size > 5000
    with pytest.raises(HpoError, match="cannot write"):
        called("show", "swa-cosine", "--png", str(tmp_path / "none" / "curve.png"))


def test_without_matplotlib_its_name_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(HpoError, match=r"hpo-torch\[png\]"):
        called("show", "step", "--png", str(tmp_path / "curve.png"))


def test_a_terminal_without_braille_gets_asterisks() -> None:
    from hpo_torch.curves import Curve
    from hpo_torch.drawing import lines

    curve: Any = Curve("toy", [1.0, 0.0], False, None, "")
    text = "\n".join(lines(curve, 40, 4, "ascii"))
    assert text.isascii() and "*" in text
