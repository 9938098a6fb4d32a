"""The evaluator: walks syntax trees, with a budget of steps."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from flashinfer_bench.models.evaluator.builtin_names import BUILTINS
from flashinfer_bench.models.evaluator.expressions import EXPRESSIONS, tested
from flashinfer_bench.models.evaluator.functions import Function, is_generator
from flashinfer_bench.models.evaluator.generators import generate
from flashinfer_bench.models.evaluator.inner_names import FORBIDDEN, read, write
from flashinfer_bench.models.evaluator.limits import check_call, limited_range
from flashinfer_bench.models.evaluator.modules import Finder, Module
from flashinfer_bench.models.evaluator.scope import Scope
from flashinfer_bench.models.evaluator.standard_library import standard_library
from flashinfer_bench.models.evaluator.statements import STATEMENTS, Outcome, Return
from flashinfer_bench.models.evaluator.values import (
    Exhausted,
    Place,
    Undecided,
    Unknown,
    is_unknown,
    sealed,
)

STEPS = 20_000_000
"""Statements, calls and rounds that one evaluation may take."""
DEPTH = 60
"""Calls inside calls; models need at most 15, and Python's own stack has room for about 80."""


_END = object()


@dataclass(frozen=True)
class Doubt:
    """A branch that was chosen without knowing its condition."""

    reason: str
    place: Place
    """Of the branch."""
    effect: str


class Boundary(Protocol):
    """What is not evaluated, and what stands for it."""

    def module(self, name: str) -> Any:
        """What stands for a module; None where it is evaluated or not there at all."""

    def value(self, module: str, name: str) -> Any:
        """What stands for a name of an evaluated module; `NotImplemented` where nothing does."""

    def make_class(
        self, name: str, node: ast.ClassDef, scope: Scope, bases: Sequence[type]
    ) -> type | None:
        """The class that stands for an evaluated one; None where it is evaluated itself."""


@sealed
class Evaluator:
    """Evaluates names of packages' modules; values live as long as it does."""

    def __init__(
        self, finder: Finder, boundary: Boundary, *, steps: int = STEPS, depth: int = DEPTH
    ) -> None:
        self.finder, self.boundary = finder, boundary
        self.modules: dict[str, Any] = {}
        self._library = standard_library()
        self.doubts: dict[tuple[Place, str], Doubt] = {}
        self._steps_left, self._depth_left = steps, depth

    # Modules and names ------------------------------------------------------------------

    def find_module(self, name: str) -> Any:
        """What stands for a module, or the module itself; None where there is none."""
        if name not in self.modules:
            standing = self.boundary.module(name)
            if standing is None:
                standing = self._library.get(name)
            if standing is None:
                source = self.finder.find(name)
                standing = Module(self, name, source) if source else None
            self.modules[name] = standing
        return self.modules[name]

    def import_module(self, name: str) -> Any:
        """Raises ImportError where an evaluated package lacks it; Unknown for other packages."""
        found = self.find_module(name)
        if found is None:
            if self.finder.covers(name):
                raise ImportError(f"No module named {name!r}")
            found = self.modules[name] = Unknown(f"{name} is not evaluated", quiet=True)
        return found

    def import_name(self, module: str, name: str) -> Any:
        """As `from module import name`."""
        found = self.import_module(module)
        if type(found) is Module and found.has(name):
            return self.attribute(found, name)  # whose errors are its own, not that it is missing
        try:
            return self.attribute(found, name)
        except AttributeError as error:
            inside = self.find_module(f"{module}.{name}")
            if inside is None:
                raise ImportError(f"cannot import name {name!r} from {module!r}") from error
            return inside

    def builtin(self, name: str) -> Any:
        if name not in BUILTINS:
            raise NameError(f"name {name!r} is not defined")
        return BUILTINS[name]

    def replaced_class(
        self, name: str, node: ast.ClassDef, scope: Scope, bases: Sequence[type]
    ) -> type | None:
        return self.boundary.make_class(name, node, scope, bases)

    # Budget and doubts ------------------------------------------------------------------

    def step(self, node: ast.AST, scope: Scope) -> None:
        self._steps_left -= 1
        if self._steps_left < 0:
            raise Exhausted(f"out of steps at {scope.module.place(node)}")

    def doubt(self, unknown: Unknown, node: ast.AST, scope: Scope, effect: str) -> None:
        """Notes a choice that was made without knowledge."""
        if not unknown.quiet:
            place = scope.module.place(node)
            doubt = Doubt(unknown.reason, place, effect)
            self.doubts.setdefault((place, unknown.reason), doubt)

    # Values -----------------------------------------------------------------------------

    def value(self, node: ast.AST, scope: Scope) -> Any:
        """Of an expression; Unknown where it cannot be known."""
        kind = type(node)
        if kind is ast.Name:  # half of all
            return scope.look_up(node.id)  # type: ignore[attr-defined]
        handler = EXPRESSIONS.get(kind)
        if handler is None:
            reason = f"{kind.__name__} expressions are not evaluated"
            return Unknown(reason, scope.module.place(node))
        return handler(self, node, scope)

    def truth(self, value: Any) -> bool | Unknown:
        if value is True or value is False:
            return value
        if is_unknown(value):
            return False if value.quiet else value
        try:
            return bool(value)
        except Undecided as undecided:
            return undecided.unknown

    def decide(self, test: ast.expr, scope: Scope) -> bool:
        """The truth of a condition; an unknown one counts as false, and is noted."""
        truth = tested(self, test, scope)
        if is_unknown(truth):
            self.doubt(truth, test, scope, "taken as false")
            return False
        return truth

    def sure(self, test: ast.expr, scope: Scope) -> bool:
        """The truth of a condition; raises Undecided where it is unknown."""
        truth = tested(self, test, scope)
        if is_unknown(truth):
            raise Undecided(truth)
        return truth

    def undecided_is_unknown(self, function: Callable[..., Any], *args: Any) -> Any:
        try:
            return function(*args)
        except Undecided as undecided:
            return undecided.unknown

    def attribute(self, value: Any, name: str) -> Any:
        """As `value.name`; raises AttributeError. Python's inner names are not given out."""
        if is_unknown(value):
            return value
        if type(value) is Module and name not in FORBIDDEN:
            standing = self.boundary.value(value.name, name)
            return value.attribute(name) if standing is NotImplemented else standing
        try:
            return read(value, name)
        except Undecided as undecided:
            return undecided.unknown

    def item(self, value: Any, key: Any) -> Any:
        if is_unknown(key):
            return key
        if isinstance(value, type) and not hasattr(type(value), "__getitem__"):
            return value  # a generic class, as in Optional[int]
        return self.undecided_is_unknown(lambda: value[key])

    def iterate(self, items: Any) -> Iterator[Any]:
        if is_unknown(items):
            raise Undecided(items)
        return iter(items)

    def rounds(self, items: Any, node: ast.AST, scope: Scope) -> Iterator[Any]:
        """Of a loop; it ends, which is noted, where Python would have to know an Unknown."""
        try:
            items = self.iterate(items)
            while (item := next(items, _END)) is not _END:
                self.step(node, scope)
                yield item
        except Undecided as undecided:
            self.doubt(undecided.unknown, node, scope, "no further round of this loop is counted")

    # Calls ------------------------------------------------------------------------------

    def call(
        self,
        function: Any,
        args: Sequence[Any],
        keywords: Mapping[str, Any],
        node: ast.AST,
        scope: Scope,
    ) -> Any:
        """What a call gives; Unknown where Python's own code would have to know an Unknown."""
        self.step(node, scope)
        if function is range:
            function = limited_range
        elif (function is str or function is type) and len(args) == 1 and is_unknown(args[0]):
            return args[0]
        try:
            check_call(function, args)
            return function(*args, **keywords)
        except Undecided as undecided:
            return undecided.unknown
        except RecursionError as error:
            raise Exhausted(f"too deep at {scope.module.place(node)}") from error

    def run_function(
        self, function: Function, args: Sequence[Any], keywords: Mapping[str, Any]
    ) -> Any:
        names = function.parameters.bind(function.__name__, args, keywords)
        if args:
            names["__first__"] = args[0]
        scope = Scope(function.scope.module, names, function.scope)
        scope.owner = function.cell.get("class")
        if self._depth_left <= 0:
            raise Exhausted(f"calls too deep at {function.place}")
        self._depth_left -= 1
        try:
            if isinstance(function.node, ast.Lambda):
                return self.value(function.node.body, scope)
            if is_generator(function.node):
                return generate(self, function.node.body, scope)
            outcome = self.run(function.node.body, scope)
        finally:
            self._depth_left += 1
        return outcome.value if isinstance(outcome, Return) else None

    # Statements -------------------------------------------------------------------------

    def run(self, body: Sequence[ast.stmt], scope: Scope) -> Outcome:
        """Statements in order; says whether a loop or function ends here, and with what.

        An error gets the place of the innermost statement as `evaluated_at`.
        """
        for node in body:
            self.step(node, scope)
            try:
                outcome = STATEMENTS[type(node)](self, node, scope)
            except Exception as error:
                if not hasattr(error, "evaluated_at"):
                    error.evaluated_at = scope.module.place(node)  # type: ignore[attr-defined]
                raise
            if outcome is not None:
                return outcome
        return None

    def assign(self, target: ast.expr, value: Any, scope: Scope) -> None:
        """Binds a target, of any kind, to a value."""
        if isinstance(target, ast.Name):
            scope.bind(target.id, value)
        elif isinstance(target, ast.Attribute):
            owner = self.value(target.value, scope)
            if type(owner) is Module:
                owner.rebind(target.attr, value)
            else:
                write(owner, target.attr, value)
        elif isinstance(target, ast.Subscript):
            owner, key = self.value(target.value, scope), self.value(target.slice, scope)
            if not is_unknown(key):
                owner[key] = value
        elif isinstance(target, ast.Starred):
            self.assign(target.value, value if is_unknown(value) else list(value), scope)
        elif isinstance(target, (ast.Tuple, ast.List)):
            for element, part in zip(target.elts, _unpacked(target.elts, value)):
                self.assign(element, part, scope)


def _unpacked(targets: Sequence[ast.expr], value: Any) -> Sequence[Any]:
    """As many values as there are targets; raises ValueError."""
    if is_unknown(value):
        return [value] * len(targets)
    values = list(value)
    starred = [at for at, it in enumerate(targets) if isinstance(it, ast.Starred)]
    if starred:
        at, after = starred[0], len(targets) - starred[0] - 1
        middle = values[at : len(values) - after]
        values = [*values[:at], middle, *values[len(values) - after :]]
    if len(values) != len(targets):
        raise ValueError(f"expected {len(targets)} values to unpack, got {len(values)}")
    return values


__all__ = ["DEPTH", "STEPS", "Boundary", "Doubt", "Evaluator"]
