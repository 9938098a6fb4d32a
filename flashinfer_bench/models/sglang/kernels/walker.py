"""Walks a `forward` and what it calls inside SGLang, noting kernels and modules that it calls.

One of two ways: `decided` takes one branch of each test, as while serving one batch, and what
nothing states is off; else both branches are walked and the tests are noted.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flashinfer_bench.models.evaluator.values import Place
from flashinfer_bench.models.sglang.kernels.expressions import Expressions, Frame
from flashinfer_bench.models.sglang.kernels.files import Definition, imported
from flashinfer_bench.models.sglang.kernels.tables import platform_truth
from flashinfer_bench.models.sglang.kernels.values import (
    OPTION,
    SOMETHING,
    Condition,
    Method,
    Object,
    Open,
    alternatives,
    callable_value,
    truth,
)

_DEPTH, _STEPS = 12, 4000


@dataclass(frozen=True)
class Event:
    """A kernel or a module that is called."""

    name: str
    """Of a module its path."""
    place: Place
    snippet: str
    conditions: tuple[Condition, ...]
    called_as: str = ""
    """Name at that place: another one where an import or a variable renames the kernel."""
    residual: Any = None
    """For a module: what is handed over as residual; None where nothing is."""
    is_module: bool = False


class Returned(Exception):
    """A `return` was reached, while branches are decided."""


@dataclass
class Walker(Expressions):
    """One walk."""

    decided: bool = False
    events: list[Event] = field(default_factory=list)
    depth: int = 0
    steps: int = 0
    last: dict[str, Any] = field(default_factory=dict)
    """Names of the outermost function, when it is done."""
    _stack: list[int] = field(default_factory=list)

    def call(self, method: Method, args: list[Any], keywords: Mapping[str, Any]) -> Any:
        """Walks a function; gives what it returns while branches are decided."""
        if self.depth >= _DEPTH or self._stack.count(id(method.node)) or self.steps > _STEPS:
            return SOMETHING
        frame = Frame(method, self.bound(method, args, keywords))
        if isinstance(method.node, ast.Lambda):
            return self.value(method.node.body, frame)
        frame.imports.update(imported(_inner(method.node), method.file.name))
        self._stack.append(id(method.node))
        self.depth += 1
        held = self.conditions
        try:
            self.body(method.node.body, frame)
        except Returned:
            pass
        finally:
            self.depth -= 1
            self._stack.pop()
            self.conditions = held
            self.last = frame.names
        chosen = alternatives(
            (tests[len(held) :], it) for tests, it in frame.results if callable_value(it)
        )
        return frame.result if chosen is OPTION else chosen

    def bound(self, method: Method, args: list[Any], given: Mapping[str, Any]) -> dict[str, Any]:
        """Parameters by name; those that must be given are something."""
        spec = method.node.args
        names = [it.arg for it in (*spec.posonlyargs, *spec.args)]
        decorators = getattr(method.node, "decorator_list", ())
        static = any(getattr(it, "id", "") == "staticmethod" for it in decorators)
        if method.owner is not None and not static:
            args = [method.owner, *args]
        found: dict[str, Any] = dict.fromkeys(names, SOMETHING)
        for name, node in zip(names[len(names) - len(spec.defaults) :], spec.defaults):
            found[name] = node.value if isinstance(node, ast.Constant) else OPTION
        for argument, default in zip(spec.kwonlyargs, spec.kw_defaults):
            stated = isinstance(default, ast.Constant)
            found[argument.arg] = default.value if stated else SOMETHING  # type: ignore[union-attr]
        found.update(zip(names, args))
        found.update(given)
        return found

    def body(self, statements: list[ast.stmt], frame: Frame) -> bool:
        """Whether the end is never reached."""
        for it in statements:
            self.steps += 1
            if self.statement(it, frame):
                return True
        return False

    def statement(self, node: ast.stmt, frame: Frame) -> bool:
        if isinstance(node, ast.If):
            return self.branch(node, frame)
        if isinstance(node, (ast.Assign, ast.AnnAssign, ast.AugAssign)):
            value = self.value(node.value, frame) if node.value is not None else SOMETHING
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                self.assign(target, SOMETHING if isinstance(node, ast.AugAssign) else value, frame)
        elif isinstance(node, ast.Expr):
            self.value(node.value, frame)
        elif isinstance(node, ast.Return):
            frame.result = None if node.value is None else self.value(node.value, frame)
            if self.decided:
                raise Returned
            frame.results.append((self.conditions, frame.result))
            return True
        elif isinstance(node, (ast.Raise, ast.Continue, ast.Break)):
            return True
        elif isinstance(node, (ast.For, ast.While, ast.With, ast.Try)):
            self.compound(node, frame)
        elif isinstance(node, Definition):
            frame.names[node.name] = Method(frame.method.file, node, None, frame.method.within)
        return False

    def branch(self, node: ast.If, frame: Frame) -> bool:
        chosen = platform_truth(node.test)
        value = self.value(node.test, frame)
        if chosen is None and self.decided:
            chosen = truth(value)
        if chosen is not None:
            return self.body(node.body if chosen else node.orelse, frame)
        text, held = " ".join(ast.unparse(node.test).split()), self.conditions
        before, tests = dict(frame.names), (Condition(text, True), Condition(text, False))
        self.conditions = (*held, tests[0])
        ended = self.body(node.body, frame)
        first, frame.names = frame.names, before
        self.conditions = (*held, tests[1])
        other = self.body(node.orelse, frame)
        frame.names = _merged((tests[0], first, ended), (tests[1], frame.names, other))
        if ended != other:  # what follows is reached one way only
            self.conditions = (*held, Condition(text, other))
        else:
            self.conditions = held
        return ended and other

    def compound(self, node: ast.stmt, frame: Frame) -> None:
        if isinstance(node, ast.For):
            items = self.value(node.iter, frame)
            rounds = items if isinstance(items, range) and self.decided else [SOMETHING]
            for item in list(rounds)[:4]:
                self.assign(node.target, item, frame)
                self.body(node.body, frame)
        elif isinstance(node, ast.With):
            for it in node.items:
                self.value(it.context_expr, frame)
            self.body(node.body, frame)
        elif isinstance(node, ast.While):
            self.body(node.body, frame)
        elif isinstance(node, ast.Try):
            self.body([*node.body, *node.orelse, *node.finalbody], frame)

    def assign(self, target: ast.expr, value: Any, frame: Frame) -> None:
        if isinstance(target, ast.Name):
            frame.names[target.id] = value
        elif isinstance(target, (ast.Tuple, ast.List)):
            known = isinstance(value, tuple) and len(value) == len(target.elts)
            for at, it in enumerate(target.elts):
                self.assign(it, value[at] if known else SOMETHING, frame)
        elif isinstance(target, ast.Attribute):
            owner = self.value(target.value, frame)
            if isinstance(owner, Object) and not isinstance(value, Open) and self.decided:
                owner.attributes[target.attr] = value

    def note(self, name: str, node: ast.AST, frame: Frame) -> None:
        """At the innermost call whose text names the kernel: it may be handed over as a value."""
        last = name.rpartition(".")[2]
        for at, there in ((node, frame), *reversed(self.sites)):
            if last in _text(at, there):
                node, frame = at, there
                break
        file = frame.method.file
        found = (name, file.place(node), file.snippet(node), self.conditions)
        self.events.append(Event(*found, _called_as(last, node)))

    def note_module(self, module: Object, residual: Any, node: ast.AST, frame: Frame) -> None:
        file, path = frame.method.file, module.path or ""
        found = (path, file.place(node), file.snippet(node), self.conditions)
        self.events.append(Event(*found, residual=residual, is_module=True))


def _merged(
    first: tuple[Condition, dict[str, Any], bool], other: tuple[Condition, dict[str, Any], bool]
) -> dict[str, Any]:
    """Names behind two branches, of which either may have ended."""
    if first[2] or other[2]:
        return first[1] if other[2] else other[1]
    names = {**first[1], **other[1]}
    for name in first[1]:
        one, two = first[1][name], other[1].get(name, OPTION)
        if one is two:
            continue
        chosen = alternatives((((first[0],), one), ((other[0],), two)))
        known = one if isinstance(two, Open) or two is None else two
        names[name] = known if chosen is OPTION else chosen
    return names


def _text(node: ast.AST, frame: Frame) -> str:
    """Of a call, the import of its name too."""
    name = node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""
    full = frame.imports.get(name) or frame.method.file.imports.get(name, "")
    return f"{ast.unparse(node)} {full}"


def _called_as(name: str, node: ast.AST) -> str:
    if name in ast.unparse(node) or not isinstance(node, ast.Call):
        return name
    return ast.unparse(node.func)


def _inner(node: Definition) -> list[ast.stmt]:
    return [it for it in ast.walk(node) if isinstance(it, (ast.Import, ast.ImportFrom))]


__all__ = ["Event", "Walker"]
