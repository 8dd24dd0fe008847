"""`hpo models describe` and `hpo models merge`. What is slow to import stands in the functions' bodies."""

from __future__ import annotations

import json as json_module
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from hpo_core.commands import OfferedComponent
    from hpo_models.description import Asked
    from hpo_models.figures_cache import FiguresCache

KIND = "models"
LIMIT = 40.0  # GFLOP: two seconds a pass on a core
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]


def describe(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME",
            help="As `hpo list models` says, or with the prefix model_.",
            show_default=False,
        ),
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="[option=value ...]", help="Options instead of their defaults."),
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Every model without a / in its name.")
    ] = False,
    image_size: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=4096,
            metavar="N",
            help="Pixels a side; otherwise 224, or a model's smallest where it does not take that.",
        ),
    ] = None,
    channels: Annotated[int, typer.Option(min=1, metavar="C")] = 3,
    classes: Annotated[int, typer.Option(min=2, metavar="K")] = 10,
    latency_limit: Annotated[
        float,
        typer.Option(min=0, metavar="GFLOP", help="Measure no latency of models with more work."),
    ] = LIMIT,
    fresh: Annotated[bool, typer.Option("--fresh", help="Count and measure again.")] = False,
    json: Json = False,
) -> None:
    """What a model costs: parameters, FLOPs, depth, bytes, latency on this machine."""
    from hpo_core.commands import UsageError
    from hpo_models.description import Asked
    from hpo_models.figures_cache import FiguresCache, default_path

    if (name is not None) is every:
        raise UsageError("say which model, or --all: see `hpo list models`")
    asked = Asked(image_size, channels, classes, latency_limit, fresh)
    cache = FiguresCache(default_path(), lambda problem: _say(f"warning: {problem}"))
    if name is not None:
        found = _described(*_named(name), overrides or [], asked, cache)
        return _print_one(found, json)
    _print_all(_all(asked, cache), json)


def merge(
    source: Annotated[
        Path, typer.Argument(metavar="FILE", help="The model.safetensors of a model with adapters.")
    ],
    target: Annotated[Path, typer.Argument(metavar="TARGET", help="Where the merged one goes.")],
) -> None:
    """Merge a model's adapters (`lora`) into its weights: a file of its backbone."""
    from hpo_models.merging import merge_file

    print(f"{target} is of the model '{merge_file(source, target)}'")


def _named(name: str) -> tuple[str, OfferedComponent | None]:
    """A model's own name, of one that may be prefixed, and what is offered under it."""
    from hpo_core.commands import offered
    from hpo_models.prefixed import parse_prefixed

    by_name = {called: each for each in offered(KIND) for called in each.names}
    if name not in by_name:
        name = parse_prefixed(name) or name
    return name, by_name.get(name.rpartition(":")[2])


def _described(
    name: str,
    about: OfferedComponent | None,
    overrides: list[str],
    asked: Asked,
    cache: FiguresCache,
) -> dict[str, Any]:
    from hpo_core import HpoError, PluginError
    from hpo_core.commands import read_component
    from hpo_models.description import describe

    component = read_component(KIND, name, overrides)
    assert about is not None  # read_component has found it
    try:
        return describe(name, about, component, asked, cache)
    except HpoError:
        raise
    except Exception as error:  # a plugin's model may raise anything
        raise PluginError(f"the model '{name}': {_in_one_line(error)}") from error


def _all(asked: Asked, cache: FiguresCache) -> Iterator[dict[str, Any]]:
    """Each model with a name of its own, described, or with the reason why it is not."""
    from hpo_core.commands import offered

    models = [each for each in offered(KIND) if "/" not in each.names[0]]
    for number, about in enumerate(models, 1):
        name = about.names[0]
        _say(f"[{number}/{len(models)}] {name}")
        try:
            yield _described(name, about, [], asked, cache)
        except Exception as error:  # one that fails costs only its own line
            yield {"name": name, "error": " ".join(str(error).split())}


def _print_all(found: Iterator[dict[str, Any]], json: bool) -> None:
    if json:
        return print(json_module.dumps(list(found), indent=2, default=repr))
    widths = (24, 6, 10, 9, 6, 9, 9)
    heads = ("model", "input", "parameters", "GFLOP", "depth", "MB", "ms")
    print(_row(heads, widths))
    for each in found:
        print(
            _row(_cells(each), widths)
            if "error" not in each
            else f"{each['name']:<24}  error: {each['error']}"
        )


def _cells(each: dict[str, Any]) -> tuple[str, ...]:
    latency = each["latency"]
    return (
        each["name"],
        str(each["input"]["height"]),
        f"{each['parameters']:,}",
        f"{each['flops'] / 1e9:.3g}",
        str(each["depth"]),
        f"{each['bytes'] / 1e6:.1f}",
        f"{latency['seconds'] * 1e3:.1f}" if latency else "-",
    )


def _row(cells: tuple[str, ...], widths: tuple[int, ...]) -> str:
    first, *rest = (
        f"{cell:<{width}}" if index == 0 else f"{cell:>{width}}"
        for index, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return "  ".join((first, *rest))


def _print_one(each: dict[str, Any], json: bool) -> None:
    if json:
        return print(json_module.dumps(each, indent=2, default=repr))
    print(f"{', '.join(each['names'])}  (plugin {each['plugin']})\n\n{each['description']}\n")
    for label, text in _lines(each):
        print(f"{label:<16}{text}")


def _lines(each: dict[str, Any]) -> Iterator[tuple[str, str]]:
    size, latency = each["input"], each["latency"]
    yield (
        "input",
        f"{size['channels']} x {size['height']} x {size['width']}, {each['classes']} classes",
    )
    yield "smallest input", f"{each['smallest_input'] or 'unknown'}"
    yield "parameters", f"{each['parameters']:,}, trainable {each['trainable_parameters']:,}"
    yield "weights", f"{each['bytes'] / 1e6:.1f} MB"
    yield "work", f"{each['flops'] / 1e9:.3g} GFLOP for an image"
    yield "depth", f"{each['depth']} of {each['layers']} convolutions and linear layers on one way"
    if latency:
        threads = f"{latency['threads']} thread{'s' if latency['threads'] > 1 else ''}"
        yield (
            "latency",
            f"{latency['seconds'] * 1e3:.1f} ms for an image, {latency['device']}, {threads}",
        )
    else:
        yield "latency", f"not measured: {each['latency_skipped']}"
    if each["tier"] is not None:
        yield "tier", str(each["tier"])
    if each["use_cases"]:
        yield "use cases", ", ".join(each["use_cases"])
    if each["substitute_for"]:
        yield "stands in for", each["substitute_for"]
    yield "prefixed name", each["prefixed_name"]


def _in_one_line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
