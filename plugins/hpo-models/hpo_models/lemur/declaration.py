"""What a file written for LEMUR declares, read without running it.

A study is made and checked before anybody allows the file to run, and a trial is too late to hear that it has no
network. What is imported or computed is taken to be there: only running the file would tell.
"""

from __future__ import annotations

import ast
import symtable
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpo_core import HpoError

NETWORK = "Net"
METHODS = ("train_setup", "learn")
DECLARATION = "supported_hyperparameters"
ADDED = frozenset({"batch", "epoch", "epoch_max", "transform"})
"""What whoever trains puts into `prm`, whether a file declares it or not."""

_PLAIN = frozenset({"object", "Module", "nn.Module", "torch.nn.Module"})  # bases without METHODS


def declared(path: Path) -> frozenset[str] | None:
    """The hyperparameters that a file declares, without running it; None where it computes them.

    Raises HpoError when the file cannot be read, is no Python, or has no network or no declaration.
    """
    source = _Source.read(path)
    if (what := source.lacks()) is not None:
        raise no_network(path, what)
    for node in source.tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == DECLARATION:
            return _literal(path, node)
    return None


def no_network(path: Path, what: str) -> HpoError:
    """The error for a file that lacks something."""
    return HpoError(f"{path.name} has {what}: it is no network for LEMUR")


def lacking_method(method: str) -> str:
    """What a file has instead of a network that can be trained."""
    return f"a class {NETWORK} that has no {method}()"


def names(path: Path, value: Any) -> frozenset[str]:
    """Those that a declaration returns, without `ADDED`: files return sets, lists, and mappings of defaults."""
    if not isinstance(value, set | frozenset | list | tuple | dict) or not all(
        isinstance(name, str) for name in value
    ):
        raise HpoError(f"{path.name}: {DECLARATION}() gives no set of names: {value!r}")
    return frozenset(value) - ADDED


@dataclass(frozen=True)
class _Source:
    """A file as Python reads it: its syntax, and the names that it binds."""

    tree: ast.Module
    table: symtable.SymbolTable

    @classmethod
    def read(cls, path: Path) -> _Source:
        """Raises HpoError, with the place where the file is no Python."""
        try:
            return cls._parsed(path.read_bytes(), str(path))
        except FileNotFoundError as error:
            raise HpoError(f"{path}: there is no such file") from error
        except OSError as error:
            raise HpoError(f"{path} cannot be read: {error.strerror}") from error
        except SyntaxError as error:
            place = f"{path}:{error.lineno or 1}:{error.offset or 1}"
            raise HpoError(f"{place}: this is no Python: {error.msg}") from error
        except ValueError as error:
            raise HpoError(f"{path} is no Python: {error}") from error

    @classmethod
    def _parsed(cls, code: bytes, name: str) -> _Source:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the file's style
            compile(code, name, "exec", dont_inherit=True)  # refuses more than parsing does
            return cls(ast.parse(code, name), symtable.symtable(code, name, "exec"))  # type: ignore[arg-type]  # bytes have the file's own encoding

    def lacks(self) -> str | None:
        """What a network's file must have and this one certainly has not, or None."""
        if any(isinstance(n, ast.ImportFrom) and n.names[0].name == "*" for n in self.tree.body):
            return None
        if not _binds(self.table, NETWORK):
            return f"no class {NETWORK}"
        lacking = [method for method in METHODS if not self._may_have(NETWORK, method)]
        if lacking and not self._changes_network():
            return lacking_method(lacking[0])
        return None if _binds(self.table, DECLARATION) else f"no {DECLARATION}()"

    def _may_have(self, name: str, method: str) -> bool:
        """Whether a class may have a method, its own or inherited from a class above it or from elsewhere."""
        classes = {node.name: node for node in self.tree.body if isinstance(node, ast.ClassDef)}
        tables = {each.get_name(): each for each in self.table.get_children()}
        node = classes.get(name)
        if node is None or node.decorator_list or node.keywords or _binds(tables[name], method):
            return True
        for base in map(ast.unparse, node.bases):
            above = base in classes and classes[base].lineno < node.lineno
            if base not in _PLAIN and (not above or self._may_have(base, method)):
                return True
        return False

    def _changes_network(self) -> bool:
        """Whether the file gives its network another value or attribute after the class statement."""
        stored = [n for n in ast.walk(self.tree) if isinstance(getattr(n, "ctx", None), ast.Store)]
        targets = [each.value if isinstance(each, ast.Attribute) else each for each in stored]
        return any(isinstance(each, ast.Name) and each.id == NETWORK for each in targets)


def _binds(table: symtable.SymbolTable, name: str) -> bool:
    if name not in table.get_identifiers():
        return False
    symbol = table.lookup(name)
    return symbol.is_assigned() or symbol.is_imported()


def _literal(path: Path, function: ast.FunctionDef) -> frozenset[str] | None:
    returned = [node.value for node in ast.walk(function) if isinstance(node, ast.Return)]
    try:
        [value] = returned
        return names(path, ast.literal_eval(value))  # type: ignore[arg-type]  # None is refused too
    except (ValueError, TypeError):
        return None
