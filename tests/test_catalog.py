"""The catalog: names to factories, and what is said when there is none or more than one."""

from __future__ import annotations

import pytest

from hpo_core.catalog import Catalog, Entry, UnknownNameError, noun
from hpo_core.errors import PluginError


def _catalog(*entries: tuple[str, str, object]) -> Catalog:
    catalog = Catalog()
    for distribution, name, target in entries:
        catalog.add(Entry("models", name, target, distribution, distribution))  # type: ignore[arg-type]  # bad ones too
    return catalog


def test_a_dotted_path_is_resolved_when_the_factory_is_first_used() -> None:
    catalog = _catalog(("d", "path", "json:dumps"), ("d", "bad", "no_such_module_at_all:x"))
    assert catalog.names("models") == ["bad", "path"]
    assert catalog.entry("models", "path").factory([1]) == "[1]"


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("no_such_module_at_all:x", "ModuleNotFoundError"),
        ("json:no_such_attribute", "AttributeError"),
        ("json:__name__", "not callable"),
    ],
)
def test_a_path_that_leads_nowhere_blames_the_plugin_and_its_distribution(
    target: str, reason: str
) -> None:
    entry = _catalog(("hpo-shaky", "net", target)).entry("models", "net")
    with pytest.raises(PluginError, match=f"model 'net' .*hpo-shaky.*{reason}"):
        _ = entry.factory


def test_an_unknown_name_comes_with_the_nearest_one() -> None:
    with pytest.raises(UnknownNameError, match="there is no model 'resnet81'") as caught:
        _catalog(("d", "resnet18", print)).entry("models", "resnet81")
    assert caught.value.suggestion == "resnet18"
    assert not caught.value.broken


def test_an_unknown_name_mentions_plugins_that_did_not_load() -> None:
    with pytest.raises(UnknownNameError, match="may offer it: shaky: no numpy") as caught:
        Catalog(broken={"shaky": "no numpy"}).entry("models", "net")
    assert caught.value.broken


def test_a_name_taken_twice_is_an_error_that_names_both_until_written_in_full() -> None:
    catalog = _catalog(("left", "net", max), ("right", "net", min))
    with pytest.raises(PluginError, match="'left:net' and 'right:net'"):
        catalog.entry("models", "net")
    assert catalog.entry("models", "right:net").factory is min
    assert [entry.distribution for entry in catalog.entries("models")] == ["left", "right"]
    with pytest.raises(UnknownNameError):
        catalog.entry("models", "middle:net")


def test_nouns_read_as_people_say_them() -> None:
    assert [noun(kind) for kind in ("models", "losses", "lr_schedulers", "trial_schedulers")] == [
        "model",
        "loss",
        "LR scheduler",
        "trial scheduler",
    ]
