"""Modules of the evaluated packages: a name is evaluated when it is asked for, no sooner."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from flashinfer_bench.models.evaluator.scope import Lazy, Scope
from flashinfer_bench.models.evaluator.sources import SourceFile, bound_names
from flashinfer_bench.models.evaluator.values import (
    Place,
    Refused,
    Unknown,
    is_unknown,
    matches,
    sealed,
)

if TYPE_CHECKING:
    from flashinfer_bench.models.evaluator.evaluator import Evaluator

_MISSING = object()
_UNDER_WAY = object()


@sealed
class Module:
    """One module; statements are evaluated for the names they bind, each at most once."""

    def __init__(self, evaluator: Evaluator, name: str, source: SourceFile) -> None:
        self.evaluator, self.name, self.source = evaluator, name, source
        self.is_package = source.path.name == "__init__.py"
        self.scope = Scope(self, {})
        self._values: dict[tuple[str, int], Any] = {}
        self._final: dict[str, Any] = {}
        self._builtin: set[str] = set()
        self._star_under_way: set[str] = set()
        self._given = {"__name__": name, "__file__": source.name, "__doc__": None}

    def __init_subclass__(cls) -> NoReturn:
        raise Refused("a class of modules")

    def __deepcopy__(self, memo: Any) -> Module:
        return self

    def __repr__(self) -> str:
        return f"<module {self.name}>"

    def place(self, node: ast.AST) -> Place:
        return Place(self.source.name, getattr(node, "lineno", 0))

    def has(self, name: str) -> bool:
        return name in self._final or name in self.source.binding or name in self._given

    def global_value(self, name: str, before: int | None = None) -> Any:
        """A name as the whole module binds it, or as the statements before one do.

        Raises NameError where neither the module nor Python's builtins have it.
        """
        if before is None and name in self._final:
            return self._final[name]
        if name in self._builtin:
            return self.evaluator.builtin(name)
        standing = self.evaluator.boundary.value(self.name, name)
        value = self._bound(name, before) if standing is NotImplemented else standing
        if value is _MISSING:
            value = self._from_star(name)
        if value is _MISSING:
            value = self.evaluator.builtin(name)
            self._builtin.update([name] if before is None else [])
            return value
        if before is None:
            self._final[name] = value
        return value

    def attribute(self, name: str) -> Any:
        """As `module.name`; raises AttributeError. A submodule counts."""
        try:
            if self.has(name) or "*" in self.source.binding:
                return self.global_value(name)
        except NameError:
            pass
        inside = self.evaluator.find_module(f"{self.name}.{name}") if self.is_package else None
        if inside is None:
            raise AttributeError(f"module {self.name!r} has no attribute {name!r}")
        return inside

    def rebind(self, name: str, value: Any) -> None:
        """As a function does that declares a name `global`."""
        self._final[name] = value

    def _bound(self, name: str, before: int | None) -> Any:
        numbers = self.source.binding.get(name, ())
        for number in reversed([it for it in numbers if before is None or it < before]):
            value = self._evaluated(name, number)
            if value is not _MISSING:
                self._apply_changes(name, value, number, before)
                return value
        return self._given.get(name, _MISSING)

    def _evaluated(self, name: str, number: int) -> Any:
        """What a statement binds a name to; _MISSING where it does not after all."""
        key = (name, number)
        if key not in self._values:
            self._values[key] = _UNDER_WAY
            try:
                self._values[key] = self._evaluate(name, number)
            except BaseException:
                del self._values[key]
                raise
        if self._values[key] is _UNDER_WAY:
            place = Place(self.source.name, self.source.statements[number].first)
            return Unknown(f"{name} is defined by itself", place)
        return self._values[key]

    def _evaluate(self, name: str, number: int) -> Any:
        scope = Scope(self, {}, before=number)
        node = self.source.parse(number)
        found = self._from_statement(node, name, scope)
        if isinstance(node, ast.Assign):
            for other, value in scope.names.items():
                self._values.setdefault((other, number), value)
        return found.make() if type(found) is Lazy else found

    def _from_statement(self, node: ast.stmt, name: str, scope: Scope) -> Any:
        evaluator = self.evaluator
        if isinstance(node, ast.If):
            test = evaluator.decide(node.test, scope)
            return self._from_block(node.body if test else node.orelse, name, scope)
        if isinstance(node, ast.Try):
            return self._from_try(node, name, scope)
        if isinstance(node, ast.With):
            return self._from_block(node.body, name, scope)
        evaluator.run([node], scope)
        return scope.names.get(name, _MISSING)

    def _from_block(self, body: list[ast.stmt], name: str, scope: Scope) -> Any:
        """The last statement of the block that binds the name; those before it are evaluated too
        where it uses their names."""
        binding = [it for it in body if name in set(bound_names(it))]
        for at, node in enumerate(body):
            if node in binding or any(it in _names_used(binding) for it in bound_names(node)):
                found = self._from_statement(node, name, scope)
                if at == body.index(binding[-1]) if binding else False:
                    return scope.names.get(name, found)
        return scope.names.get(name, _MISSING)

    def _from_try(self, node: ast.Try, name: str, scope: Scope) -> Any:
        try:
            for statement in node.body:
                self.evaluator.run([statement], scope)
                for bound in bound_names(statement):
                    if isinstance(statement, (ast.Import, ast.ImportFrom)):
                        scope.look_up(bound)
        except Exception as error:
            for handler in node.handlers:
                kind = self.evaluator.value(handler.type, scope) if handler.type else Exception
                if is_unknown(kind) or matches(error, kind):
                    found = self._from_block(handler.body, name, scope)
                    return self._from_end(node.finalbody, name, scope, found)
            raise
        found = self._from_end(node.orelse, name, scope, scope.names.get(name, _MISSING))
        return self._from_end(node.finalbody, name, scope, found)

    def _from_end(self, body: list[ast.stmt], name: str, scope: Scope, found: Any) -> Any:
        last = self._from_block(body, name, scope) if body else _MISSING
        return found if last is _MISSING else last

    def _apply_changes(self, name: str, value: Any, after: int, before: int | None) -> None:
        """Runs the statements that fill a table after it was made."""
        if not isinstance(value, (dict, list, set)) and not is_registry(value):
            return
        for number in self.source.changing.get(name, ()):
            key = (f"{name}[]", number)
            if number > after and (before is None or number < before) and key not in self._values:
                self._values[key] = True
                node = self.source.parse(number)
                if isinstance(node, _changing_kinds(value)):
                    self.evaluator.run([node], Scope(self, {name: value}, before=number))

    def _from_star(self, name: str) -> Any:
        for number in reversed(self.source.binding.get("*", ())):
            node = self.source.parse(number)
            for imported in _star_imports(node):
                module = self.evaluator.import_module(self.absolute_name(imported))
                value = _exported(module, name)
                if value is not _MISSING:
                    return value
        return _MISSING

    def exported(self, name: str) -> Any:
        """What a star import gives for a name; _MISSING where nothing."""
        if name.startswith("_") or name in self._star_under_way:
            return _MISSING
        if self.has(name):
            try:
                return self.global_value(name)
            except NameError:
                return _MISSING
        self._star_under_way.add(name)
        try:
            return self._from_star(name)
        finally:
            self._star_under_way.discard(name)

    def absolute_name(self, node: ast.ImportFrom) -> str:
        """Of the module that an import statement names."""
        if not node.level:
            return node.module or ""
        parts = self.name.split(".")
        keep = len(parts) - node.level + int(self.is_package)
        return ".".join([*parts[:keep], *([node.module] if node.module else [])])


def is_registry(value: Any) -> bool:
    """Evaluated classes and their instances may be filled by statements at the top level."""
    kind = value if isinstance(value, type) else type(value)
    return "__evaluated__" in vars(kind)


def _changing_kinds(value: Any) -> tuple[type[ast.stmt], ...]:
    """Statements that are run for a value. Of a class only loops over several: a single
    assignment often closes a class off once the module is complete, which it is not here."""
    changing = (ast.Assign, ast.AugAssign, ast.Delete, ast.Expr, ast.For, ast.If)
    return (ast.For,) if isinstance(value, type) else changing


def _names_used(nodes: list[ast.stmt]) -> set[str]:
    return {it.id for node in nodes for it in ast.walk(node) if isinstance(it, ast.Name)}


def _star_imports(node: ast.stmt) -> Iterator[ast.ImportFrom]:
    for inner in ast.walk(node):
        if isinstance(inner, ast.ImportFrom) and inner.names[0].name == "*":
            yield inner


def _exported(module: Any, name: str) -> Any:
    if isinstance(module, Module):
        return module.exported(name)
    stated = getattr(module, "__states__", None)
    return getattr(module, name) if stated is not None and stated(name) else _MISSING


@cache
def _source_file(path: Path, name: str, mtime_ns: int, size: int) -> SourceFile:
    """One for all evaluations, so that a statement is parsed once; a changed file is another."""
    return SourceFile(path, name)


@sealed
class Finder:
    """Finds source files of the packages that may be evaluated."""

    def __init__(self, packages: Mapping[str, Path]) -> None:
        self.packages = packages
        """Name -> folder of the package."""

    def find(self, name: str) -> SourceFile | None:
        """The file of a dotted name; None where there is none, or it may not be evaluated."""
        root, *rest = name.split(".")
        folder = self.packages.get(root)
        if folder is None:
            return None
        path = folder.joinpath(*rest)
        for option in (path / "__init__.py", path.with_name(path.name + ".py")):
            if option.is_file() and (rest or option.name == "__init__.py"):
                state = option.stat()
                name = option.relative_to(folder.parent).as_posix()
                return _source_file(option, name, state.st_mtime_ns, state.st_size)
        if path.is_dir():
            return SourceFile(path / "__init__.py", path.relative_to(folder.parent).as_posix())
        return None

    def covers(self, name: str) -> bool:
        return name.split(".")[0] in self.packages


Native = Callable[..., Any]

__all__ = ["Finder", "Module", "Native"]
