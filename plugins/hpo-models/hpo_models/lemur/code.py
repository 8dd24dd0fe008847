"""Source code of a neural network for LEMUR: one of our models with one of the LR schedulers A0_001 to A0_035.

The skeleton is a template, `net.jinja`; functions are copied as they stand in `hpo_models.lemur.rates`, where
they are formatted, typed and tested as any other code; defaults and ranges are those that the catalogue of installed
plugins has for the LR scheduler. So nothing about a schedule but its formula is said twice, and the tests hold the
formulas against the catalogue's.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpo_models.lemur.models import Construction

HERE = Path(__file__).parent
PARTS = ("rates.py", "_parts.py")

RATES: dict[str, str] = {
    "A0_001": "step",
    "A0_002": "multi_step",
    "A0_003": "exponential",
    "A0_004": "polynomial",
    "A0_005": "polynomial",
    "A0_006": "cosine",
    "A0_007": "cosine",
    "A0_008": "cosine_restarts",
    "A0_009": "cosine_restarts",
    "A0_010": "cyclic_triangular",
    "A0_011": "cyclic_triangular2",
    "A0_012": "cyclic_exp_range",
    "A0_013": "one_cycle",
    "A0_014": "one_cycle_linear",
    "A0_015": "warmup_linear",
    "A0_016": "warmup_flat",
    "A0_017": "linear_floor",
    "A0_018": "polynomial",
    "A0_019": "multiplicative",
    "A0_020": "warmup_cosine",
    "A0_021": "warmup_step",
    "A0_022": "exponential_floor",
    "A0_023": "cosine_power",
    "A0_024": "step",
    "A0_025": "multi_step_four",
    "A0_026": "cosine",
    "A0_027": "one_cycle_linear",
    "A0_028": "cyclic_triangular",
    "A0_029": "polynomial",
    "A0_030": "step_once",
    "A0_034": "swa_cosine",
    "A0_035": "swa_linear",
}
"""The function of each number. A0_031 to A0_033 wait for a loss, and are torch's ReduceLROnPlateau."""

PLATEAUS = ("A0_031", "A0_032", "A0_033")
AVERAGED = ("A0_034", "A0_035")
"""Those that average weights, from `average_from` on."""

NUMBERS = sorted([*RATES, *PLATEAUS])

_IMPORTS = {
    "math": "import math",
    "Callable": "from collections.abc import Callable",
    "torch": "import torch",
    "nn": "from torch import nn",
    "AveragedModel": "from torch.optim.swa_utils import AveragedModel",
    "timm": "import timm",
    "torchvision": "import torchvision",
}
"""What an exported file imports for the names that occur in it, in this order."""


@dataclass(frozen=True)
class Schedule:
    """An LR scheduler of the catalogue: its number, its plain name, its options' defaults and ranges to search."""

    number: str
    name: str
    defaults: Mapping[str, Any]
    ranges: Mapping[str, Any]

    @property
    def hyperparameters(self) -> list[str]:
        """What an exported file declares: what is worth searching, after the optimizer's own."""
        return ["lr", "momentum", *self.ranges]

    @property
    def expressions(self) -> dict[str, str]:
        """How an exported file makes each option: out of a hyperparameter, or fixed."""
        return {
            option: _expression(option, self.ranges[option], default)
            if option in self.ranges
            else repr(default)
            for option, default in self.defaults.items()
        }


def source(model: str, construction: Construction, schedule: Schedule) -> str:
    """The file. It compiles and runs wherever torch and the model's library are."""
    import jinja2

    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined, keep_trailing_newline=True, autoescape=False
    )
    template = environment.from_string((HERE / "net.jinja").read_text(encoding="utf-8"))
    roots = _called(construction, schedule)
    functions = _with_callees(roots)
    averaged, plateau = schedule.number in AVERAGED, schedule.number in PLATEAUS
    used = {name for each in functions.values() for name in _names(each.node)}
    used |= {"torch", "nn", construction.library} | ({"AveragedModel"} if averaged else set())
    return template.render(
        model=model,
        number=schedule.number,
        name=schedule.name,
        libraries=f"torch and {construction.library}",
        imports=[line for name, line in _IMPORTS.items() if name in used],
        hyperparameters=schedule.hyperparameters,
        functions=[each.text for each in functions.values()],
        construction=construction,
        averaged=averaged,
        plateau=plateau,
        options=schedule.expressions,
        rate=RATES.get(schedule.number),
    )


def _expression(option: str, tree: Mapping[str, Any], default: Any) -> str:
    """A hyperparameter in [0, 1] as a value of an option's range."""
    place = f"prm['{option}']"
    if "choice" in tree:
        if tree["choice"] != [False, True]:
            raise ValueError(f"'{option}' is a choice of more than no and yes: {tree['choice']}")
        return f"switch({place}, default={default})"
    kind = "int" if "int" in tree else "float"
    low, high = tree[kind]
    if kind == "int":
        return f"whole({place}, {low}, {high}, default={default})"
    log = ", log=True" if tree.get("log") else ""
    return f"between({place}, {low}, {high}, default={default}{log})"


def _called(construction: Construction, schedule: Schedule) -> set[str]:
    """The functions that the template and the expressions in it call by name."""
    texts = [construction.expression, *schedule.expressions.values()]
    called = {name for text in texts for name in _names(ast.parse(text))}
    called.add(RATES.get(schedule.number, "steps"))
    called |= {"average_from"} if schedule.number in AVERAGED else set()
    return called | ({"adapt_channels"} if construction.library == "torchvision" else set())


@dataclass(frozen=True)
class _Function:
    node: ast.FunctionDef
    text: str


@functools.cache
def _functions() -> dict[str, _Function]:
    """The functions that can be copied, in the order in which they stand."""
    found = {}
    for part in PARTS:
        text = (HERE / part).read_text(encoding="utf-8")
        for node in ast.parse(text).body:
            if isinstance(node, ast.FunctionDef):
                segment = ast.get_source_segment(text, node)
                assert segment is not None
                found[node.name] = _Function(node, segment)
    return found


def _with_callees(names: set[str]) -> dict[str, _Function]:
    """Functions by name, with those that they use."""
    known = _functions()
    waiting, wanted = names & known.keys(), set[str]()
    while waiting:
        name = waiting.pop()
        wanted.add(name)
        waiting |= (set(_names(known[name].node)) & known.keys()) - wanted
    return {name: function for name, function in known.items() if name in wanted}


def _names(tree: ast.AST) -> Iterator[str]:
    return (node.id for node in ast.walk(tree) if isinstance(node, ast.Name))
