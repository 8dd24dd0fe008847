"""`{any: [...]}` for a component that is nothing but a list: what is checked is what is stored and run."""

from __future__ import annotations

from typing import Any

import pytest
from toys import toy_catalog

from hpo_core.checking import Checker

ASHA = {"name": "asha", "min_epochs": 2, "reduction_factor": 3}


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ({"every": []}, {"name": "every", "of": []}),
        ({"every": ["none"]}, {"name": "every", "of": [{"name": "none"}]}),
        (
            {"every": [{"name": "asha", "min_epochs": 2}, {"every": ["none"]}]},
            {"name": "every", "of": [ASHA, {"name": "every", "of": [{"name": "none"}]}]},
        ),
    ],
)
def test_it_is_stored_written_out(short: Any, long: Any) -> None:
    checker = Checker(toy_catalog())
    assert checker.component("trial_schedulers", short, ("t",), searchable=False) == long
    assert checker.component("trial_schedulers", long, ("t",), searchable=False) == long
    assert checker.problems == []


def test_inside_it_the_file_is_blamed_where_it_is_wrong() -> None:
    checker = Checker(toy_catalog())
    tree = {"every": ["none", {"every": [{"name": "asha", "min_epochs": 0}]}]}
    checker.component("trial_schedulers", tree, ("t",), searchable=False)
    ((path, problem),) = checker.problems
    assert path == ("t", "every", 1, "every", 0, "min_epochs")
    assert problem.path == "t.every.1.every.0.min_epochs"


@pytest.mark.parametrize("tree", [{"asha": []}, {"every": "none"}, {"evry": ["none"]}])
def test_only_components_that_are_lists_have_it(tree: Any) -> None:
    checker = Checker(toy_catalog())
    checker.component("trial_schedulers", tree, ("t",), searchable=False)
    assert [problem.message for _, problem in checker.problems] == [
        "the trial scheduler needs a name"
    ]
