"""Checks the components of a study file against the installed plugins, and collects every problem.

What is allowed comes from the factories' signatures (`hpo_core.options`). A distribution is allowed wherever a value
is; its two ends, or all of its alternatives, are then checked as values.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import ValidationError

from hpo_core import tiers
from hpo_core.catalog import Catalog, Entry, UnknownNameError, noun
from hpo_core.complaints import by_place, complaint, show
from hpo_core.errors import PluginError, Problem, nearest
from hpo_core.extremes import extremes
from hpo_core.options import Component, Option, Path, options_of
from hpo_core.space import Choice, DistributionError, is_distribution, parse, written
from hpo_core.tiers import SEARCH

_JSON_SCALARS = (type(None), bool, int, float, str)


@dataclass
class Checker:
    """Checks the components of a study file against the catalog and collects every problem.

    `component` and what it calls return the tree with all defaults filled in and components written as mappings with
    `name`, so that what was checked is what is stored and run, or None where there was a problem.
    """

    catalog: Catalog
    problems: list[tuple[Path, Problem]] = field(default_factory=list)

    def component(self, kind: str, tree: Any, path: Path, searchable: bool) -> Any:
        """Check a component: a name, a mapping with `name`, or (if searchable) a choice of these."""
        if is_distribution(tree):
            return self._component_choice(kind, tree, path, searchable)
        if isinstance(tree, str):
            tree, name_path = {"name": tree}, path
        else:
            name_path = (*path, "name")
        if (listed := self._listed(kind, tree)) is not None:
            return self._shorthand(kind, tree, listed, path, searchable)
        if tiers.is_tier(tree):
            return tiers.expanded(self, kind, tree, path, searchable)
        if not isinstance(tree, Mapping):
            return self.blame(
                path, f"the {noun(kind)} is a name or a mapping with a name, got {show(tree)}"
            )
        if not isinstance(tree.get("name"), str):
            return self.blame(
                path if "name" not in tree else name_path, f"the {noun(kind)} needs a name"
            )
        entry = self._entry(kind, tree["name"], name_path)
        if entry is None:
            return None
        given: Mapping[str, Any] = {key: value for key, value in tree.items() if key != "name"}
        try:
            factory = entry.factory
        except PluginError as error:
            return self.blame(name_path, str(error), plugin=True)
        subject = f"the {noun(kind)} '{entry.name}'"
        if SEARCH in given:
            given = self._suggested(factory, subject, given, path, searchable)
        name = self.catalog.full_name(entry, tree["name"])
        return {"name": name} | self.options(factory, subject, given, path, searchable)

    def _listed(self, kind: str, tree: Any) -> str | None:
        """The option that `tree` gives without its name, if it is `{NAME: [...]}` for a component that is a list."""
        if not isinstance(tree, Mapping) or len(tree) != 1:
            return None
        ((name, value),) = tree.items()
        if not isinstance(value, list) or name not in self.catalog.names(kind):
            return None
        try:
            return list_option(self.catalog.entry(kind, name).factory)
        except PluginError:
            return None

    def _shorthand(
        self, kind: str, tree: Mapping[str, Any], option: str, path: Path, searchable: bool
    ) -> Any:
        """Check `{NAME: [...]}` as `{name: NAME, OPTION: [...]}`, blaming places of the former."""
        ((name, value),) = tree.items()
        inner = Checker(self.catalog)
        checked = inner.component(kind, {"name": name, option: value}, path, searchable)
        long, short = (*path, option), (*path, name)
        for place, problem in inner.problems:
            if place[: len(long)] == long:
                place = (*short, *place[len(long) :])
            dotted = ".".join(str(part) for part in place)
            self.problems.append((place, replace(problem, path=dotted)))
        return checked

    def _suggested(
        self,
        factory: Callable[..., Any],
        subject: str,
        given: Mapping[str, Any],
        path: Path,
        searchable: bool,
    ) -> Mapping[str, Any]:
        """`given` with the ranges that the factory suggests in place of `search: true`; what is given itself stays.

        A factory with an option of that name keeps it.
        """
        try:
            options = options_of(factory)
        except (TypeError, ValueError, NameError):
            return given  # `options` says so
        if SEARCH in options:
            return given
        wanted = given[SEARCH]
        given = {key: value for key, value in given.items() if key != SEARCH}
        ranges = {o.name: written(o.range) for o in options.values() if o.range is not None}
        here = (*path, SEARCH)
        if not isinstance(wanted, bool):
            self.blame(here, f"{SEARCH} is true or false, got {show(wanted)}")
        elif wanted and not searchable:
            self.blame(here, "only options of the objective can be searched")
        elif wanted and not ranges:
            self.blame(here, f"{subject} suggests no range to search")
        elif wanted:
            return ranges | given
        return given

    def options(
        self,
        factory: Callable[..., Any],
        subject: str,
        given: Mapping[str, Any],
        path: Path,
        searchable: bool,
    ) -> dict[str, Any]:
        """Check the options given to one factory, which messages call `subject`."""
        try:
            options = options_of(factory)
        except (TypeError, ValueError, NameError) as error:
            self.blame(path, f"{subject} does not declare its options: {error}", plugin=True)
            return {}
        for key in given:
            if key not in options:
                none = "" if options else " (it has none at all)"
                message = f"{subject} has no option '{key}'{none}"
                self.blame((*path, key), message, suggestion=nearest(str(key), options))
        checked: dict[str, Any] = {}
        for option in options.values():
            here = (*path, option.name)
            if option.name in given:
                checked[option.name] = self.option(option, given[option.name], here, searchable)
            elif option.required:
                self.blame(path, f"{subject} needs '{option.name}'")
            else:
                checked[option.name] = self._default(option, here)
        return checked

    def _default(self, option: Option, path: Path) -> Any:
        if option.many:
            return [
                self.component(str(option.kind), item.name, path, searchable=False)
                for item in option.default
            ]
        if isinstance(option.default, Component) and option.kind:
            default = {"name": option.default.name, **option.default.options}
            return self.component(option.kind, default, path, searchable=False)
        if type(option.default) in _JSON_SCALARS:
            return option.default  # most are: no need to build an adapter for them
        return json.loads(option.adapter.dump_json(option.default))

    def option(self, option: Option, tree: Any, path: Path, searchable: bool) -> Any:
        """Check the value, component, list of components or distribution given for one option."""
        if option.searchable and (is_distribution(tree) or tiers.is_tier(tree)):
            return self.blame(path, f"options of the {option.name} can be searched, not it itself")
        searchable = searchable or option.searchable
        if option.many:
            return self._components(option, tree, path, searchable)
        if option.kind is not None and not (tree is None and option.nullable):
            return self.component(option.kind, tree, path, searchable)
        if not self._distributions(tree, path, searchable):
            return None
        if all(self._value(option, value, (*path, *place)) for place, value in extremes(tree)):
            return tree
        return None

    def _components(self, option: Option, tree: Any, path: Path, searchable: bool) -> Any:
        if not isinstance(tree, list):
            return self.blame(path, f"{option.name} is a list, got {show(tree)}")
        return [
            self.component(str(option.kind), item, (*path, index), searchable)
            for index, item in enumerate(tree)
        ]

    def _value(self, option: Option, value: Any, path: Path) -> bool:
        try:
            option.value(value)
        except ValidationError as error:
            details = error.errors(include_url=False)
            for place, said in by_place(details, value).items():
                message, meant = complaint(said, option.fields)
                self.blame((*path, *place), message, suggestion=meant)
            return False
        except (ValueError, RecursionError) as error:
            self.blame(path, str(error))
            return False
        return True

    def _distributions(self, tree: Any, path: Path, searchable: bool) -> bool:
        """Whether every distribution inside a value makes sense."""
        if is_distribution(tree):
            if not searchable:
                self.blame(path, "only options of the objective can be searched")
                return False
            try:
                distribution = parse(tree)
            except DistributionError as error:
                self.blame((*path, *error.path), str(error))
                return False
            if isinstance(distribution, Choice):
                return all(
                    self._distributions(item, (*path, "choice", index), searchable)
                    for index, item in enumerate(distribution.alternatives)
                )
            return True
        if isinstance(tree, Mapping):
            return all(self._distributions(tree[key], (*path, key), searchable) for key in tree)
        if isinstance(tree, list):
            return all(
                self._distributions(item, (*path, index), searchable)
                for index, item in enumerate(tree)
            )
        return True

    def _component_choice(
        self, kind: str, tree: Mapping[str, Any], path: Path, searchable: bool
    ) -> Any:
        if "choice" not in tree:
            return self.blame(path, f"the {noun(kind)} cannot be a number: use a choice of names")
        if not searchable:
            return self.blame(path, "only options of the objective can be searched")
        try:
            parse(tree)
        except DistributionError as error:
            return self.blame((*path, *error.path), str(error))
        checked: list[Any] = []
        for index, alternative in enumerate(tree["choice"]):
            found = self.component(kind, alternative, (*path, "choice", index), searchable)
            checked += found["choice"] if tiers.is_tier(alternative) and found else [found]
        if len(checked) > len(tree["choice"]) and None not in checked:
            try:
                parse({"choice": checked})
            except DistributionError as error:  # of a tier, and named beside it
                return self.blame((*path, "choice"), str(error))
        return {"choice": checked}

    def _entry(self, kind: str, name: str, path: Path) -> Entry | None:
        try:
            return self.catalog.entry(kind, name)
        except UnknownNameError as error:
            self.blame(path, str(error), suggestion=error.suggestion, plugin=error.broken)
        except PluginError as error:
            self.blame(path, str(error), plugin=True)
        return None

    def blame(
        self, path: Path, message: str, *, suggestion: str | None = None, plugin: bool = False
    ) -> None:
        """Record a problem at a path of the file."""
        dotted = ".".join(str(part) for part in path)
        self.problems.append((path, Problem(dotted, message, suggestion=suggestion, plugin=plugin)))


def list_option(factory: Callable[..., Any]) -> str | None:
    """The option of a component that is nothing but a list of components of some kind, such as `any` and `all`."""
    try:
        options = list(options_of(factory).values())
    except (TypeError, ValueError, NameError):
        return None
    alone = len(options) == 1 and options[0].many and options[0].required
    return options[0].name if alone else None
