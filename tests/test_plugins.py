"""Discovery of plugins: what they offer, and that a broken one harms nobody else."""

from __future__ import annotations

from importlib.metadata import EntryPoint, distributions
from pathlib import Path

import pytest

from hpo_core import plugins
from hpo_core.catalog import Catalog
from hpo_core.errors import PluginError
from hpo_core.hookspecs import KINDS
from hpo_core.testing.distributions import use_distributions, write_distribution

GOOD = """
from hpo_core import hookimpl

def net(shape, *, width: int = 8):
    return shape, width

@hookimpl
def register_models(register):
    register("tiny-net", net)
    register("lazy-net", "json:dumps")
"""

BROKEN = {
    "no-import": ("import no_such_module_at_all", "ModuleNotFoundError: No module named"),
    "no-syntax": ("def", "SyntaxError: invalid syntax"),
    "exits": ("raise SystemExit('no thanks')", "SystemExit: no thanks"),
    "mistyped": (
        "from hpo_core import hookimpl\n@hookimpl\ndef register_modles(register): pass",
        "PluginValidationError: unknown hook 'register_modles'",
    ),
    "wrong-argument": (
        "from hpo_core import hookimpl\n@hookimpl\ndef register_models(registry): pass",
        "PluginValidationError",
    ),
    "raises": (
        "from hpo_core import hookimpl\n@hookimpl\ndef register_models(register): 1 / 0",
        "ZeroDivisionError: division by zero",
    ),
    "no-name": (
        "from hpo_core import hookimpl\n@hookimpl\ndef register_models(register): register('a:b', print)",
        "ValueError: register_models: 'a:b' is not a name",
    ),
    "no-path": (
        "from hpo_core import hookimpl\n@hookimpl\ndef register_models(register): register('a', 'json')",
        "is not a dotted path 'package.module:callable'",
    ),
    "no-factory": (
        "from hpo_core import hookimpl\n@hookimpl\ndef register_models(register): register('a', 3)",
        "ValueError: register_models: the factory of 'a' is not callable",
    ),
}


def _points(folder: Path) -> list[EntryPoint]:
    found = distributions(path=[str(folder)])
    points = [point for distribution in found for point in distribution.entry_points]
    return sorted(points, key=lambda point: point.name)


def test_a_plugin_is_found_by_its_entry_point_and_named_with_its_distribution(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_distribution(tmp_path, "hpo-tiny-a", GOOD, version="1.2", plugin="tiny")
    use_distributions(monkeypatch, tmp_path)
    catalog, found = plugins.load()
    assert plugins.Plugin("tiny", "hpo-tiny-a", "1.2", "hpo_tiny_a") in found
    entry = catalog.entry("models", "tiny-net")
    assert (entry.plugin, entry.distribution) == ("tiny", "hpo-tiny-a")
    assert entry.factory("shape", width=3) == ("shape", 3)
    assert catalog.entry("models", "lazy-net").factory({}) == "{}"


def _load(
    monkeypatch: pytest.MonkeyPatch, folder: Path, **sources: str
) -> tuple[Catalog, dict[str, str | None]]:
    """The catalog, and the plugins' errors by name, of nothing but what `sources` hold by distribution."""
    for name, source in sources.items():
        write_distribution(folder, name.replace("_", "-"), source)
    use_distributions(monkeypatch, folder)
    catalog, found = plugins.load(_points(folder))
    return catalog, {plugin.name: plugin.error for plugin in found}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_plugin_is_kept_out_with_its_reason(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, reason = BROKEN[case]
    name = f"hpo_{case.replace('-', '_')}"
    catalog, errors = _load(monkeypatch, tmp_path, **{name: source, f"{name}_fine": GOOD})
    assert errors[f"hpo-{case}-fine"] is None
    assert reason in str(errors[f"hpo-{case}"])
    assert "\n" not in str(errors[f"hpo-{case}"])
    assert catalog.names("models") == ["lazy-net", "tiny-net"]
    with pytest.raises(PluginError, match=f"may offer it: hpo-{case}"):
        catalog.entry("models", "other-net")


def test_nothing_of_a_plugin_is_offered_when_one_of_its_hooks_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = "\n@hookimpl\ndef register_samplers(register): raise KeyError('half')\n"
    catalog, errors = _load(monkeypatch, tmp_path, hpo_half=GOOD + more)
    assert errors == {"hpo-half": "KeyError: 'half'"}
    assert all(catalog.names(kind) == [] for kind in KINDS)


def test_a_name_that_two_distributions_offer_is_an_error_for_who_uses_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog, errors = _load(monkeypatch, tmp_path, hpo_tiny_c=GOOD, hpo_tiny_d=GOOD)
    assert errors == {"hpo-tiny-c": None, "hpo-tiny-d": None}
    with pytest.raises(PluginError, match="'hpo-tiny-c:tiny-net' and 'hpo-tiny-d:tiny-net'"):
        catalog.entry("models", "tiny-net")
    assert catalog.entry("models", "hpo-tiny-d:tiny-net").distribution == "hpo-tiny-d"


def test_entry_points_come_in_the_order_of_their_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_distribution(tmp_path, "hpo-tiny-z", "")
    write_distribution(tmp_path, "hpo-tiny-e", "")
    use_distributions(monkeypatch, tmp_path)
    names = [point.name for point in plugins.installed()]
    assert names == sorted(names)
    assert {"hpo-tiny-e", "hpo-tiny-z"} <= set(names)
