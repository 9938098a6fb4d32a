"""Values of expressions while a function is walked, and where its calls lead."""

from __future__ import annotations

import ast
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flashinfer_bench.models.sglang.kernels.files import Definition, Files
from flashinfer_bench.models.sglang.kernels.objects import Objects
from flashinfer_bench.models.sglang.kernels.tables import (
    KERNEL_NAMES,
    KERNEL_PACKAGES,
    NO_KERNELS,
    OTHER_PLATFORMS,
    WRAPPER_METHODS,
    platform_of,
)
from flashinfer_bench.models.sglang.kernels.values import (
    ARITHMETIC,
    OPTION,
    SOMETHING,
    Alternatives,
    Boundary,
    Condition,
    Full,
    Given,
    Method,
    Object,
    Open,
    Token,
    Wrapper,
    alternatives,
    compared,
    truth,
)

TOKENS = 64
"""Of a batch: not none, and no limit of a kernel for few tokens or many."""
_QUESTIONS = ("is_", "can_", "get_", "has_", "load_", "should_", "use_", "current_")
"""Begins of names of functions beside kernels that start none."""
_BUILTINS = {
    "any": any,
    "all": all,
    "sum": sum,
    "len": len,
    "range": range,
    "max": max,
    "min": min,
    "is_power_of_two": lambda it: it > 0 and not it & (it - 1),
}


@dataclass
class Frame:
    """A function that is being walked."""

    method: Method
    names: dict[str, Any]
    imports: dict[str, str] = field(default_factory=dict)
    """Of import statements inside it."""
    result: Any = SOMETHING
    results: list[tuple[tuple[Condition, ...], Any]] = field(default_factory=list)
    """All that it may return, where branches are not decided."""


@dataclass
class Expressions(ABC):
    """Evaluates, and notes calls."""

    files: Files
    objects: Objects
    situation: Mapping[str, Any]
    sites: list[tuple[ast.Call, Frame]] = field(default_factory=list)
    """Calls that are being followed, the outermost first."""
    conditions: tuple[Condition, ...] = ()

    @abstractmethod
    def call(self, method: Method, args: list[Any], keywords: Mapping[str, Any]) -> Any:
        """Walks a function; what it returns."""

    @abstractmethod
    def note(self, name: str, node: ast.AST, frame: Frame) -> None:
        """Notes a kernel."""

    @abstractmethod
    def note_module(self, module: Object, residual: Any, node: ast.AST, frame: Frame) -> None:
        """Notes a module of the tree."""

    def value(self, node: ast.expr, frame: Frame) -> Any:
        """What an expression gives; the calls inside are noted."""
        if isinstance(node, ast.Constant):
            return node.value
        if isinstance(node, ast.Name):
            return self.name(node.id, frame)
        if isinstance(node, ast.Attribute):
            return self.attribute(self.value(node.value, frame), node)
        if isinstance(node, ast.Call):
            return self.called(node, frame)
        if isinstance(node, (ast.BoolOp, ast.IfExp, ast.UnaryOp, ast.Compare, ast.BinOp)):
            return self.operation(node, frame)
        if isinstance(node, (ast.Tuple, ast.List)):
            items = [self.value(it, frame) for it in node.elts]
            return tuple(items) if isinstance(node, ast.Tuple) else items
        if isinstance(node, ast.Subscript):
            return self.item(self.value(node.value, frame), node, frame)
        if isinstance(node, ast.Lambda):
            return Method(frame.method.file, node, None, frame.method.within)
        for inner in ast.iter_child_nodes(node):
            if isinstance(inner, ast.expr):
                self.value(inner, frame)
        return SOMETHING

    def name(self, name: str, frame: Frame) -> Any:
        if name in frame.names:
            return frame.names[name]
        if name in frame.imports:
            return self.full(frame.imports[name])
        file = frame.method.file
        node = file.functions.get(name)
        if node is not None and platform_of(name) is None:
            return self.situation[name] if name in self.situation else Method(file, node)
        if name in file.classes:
            return Full(f"{file.name.removesuffix('.py').replace('/', '.')}.{name}")
        if name in file.imports:
            return self.full(file.imports[name])
        stated = self.stated(name)
        if stated is not OPTION:
            return stated
        held = file.values.get(name)
        try:
            return OPTION if held is None else ast.literal_eval(held)
        except (ValueError, TypeError, SyntaxError):
            return self.full_of_call(held, frame)

    def full_of_call(self, node: ast.expr | None, frame: Frame) -> Any:
        """Of `name = getattr(torch.ops, …)` and other names for something else."""
        if isinstance(node, (ast.Name, ast.Attribute)):
            return self.value(node, frame)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "LazyImport":
            return Full(".".join(str(getattr(it, "value", "")) for it in node.args[:2]))
        return OPTION

    def full(self, name: str) -> Any:
        last = name.rpartition(".")[2]
        stated = self.stated(last)
        if stated is not OPTION:
            return stated
        if _is_kernel(name):
            return Full(name)
        found = self.files.definition(name)
        if found is not None and isinstance(found[1], Definition):
            return Method(found[0], found[1])
        return Full(name)

    def stated(self, name: str) -> Any:
        if name in self.situation:
            return self.situation[name]
        platform = platform_of(name)
        return OPTION if platform is None else platform

    def attribute(self, owner: Any, node: ast.Attribute) -> Any:
        name = node.attr
        if isinstance(owner, Object):
            held = self.objects.attribute(owner, name)
            if held is not OPTION:
                return held
        if isinstance(owner, dict) and name in owner:
            return owner[name]
        if isinstance(owner, Alternatives):
            return alternatives((tests, self.attribute(it, node)) for tests, it in owner.ways)
        stated = self.stated(name)
        if stated is not OPTION:
            return stated
        if isinstance(owner, Full):
            last = owner.name.rpartition(".")[2]
            found = self.objects.of_class(owner.name) if last[:1].isupper() else None
            method = found.method(name) if found is not None else None
            if method is not None:
                return Method(method.file, method.node, found, method.within)
            if found is not None and not _is_kernel(owner.name):
                return Token(f"{last}.{name}")
            return self.full(f"{owner.name}.{name}")
        return OPTION

    def item(self, owner: Any, node: ast.Subscript, frame: Frame) -> Any:
        index = self.value(node.slice, frame)
        if isinstance(owner, Wrapper):
            return owner
        if getattr(node.value, "attr", "") == "shape" and index == 0:
            return TOKENS
        if ast.unparse(node) in ("gating_output.shape[1]", "router_logits.shape[1]"):
            return self.situation.get("num_experts", SOMETHING)
        if isinstance(owner, (list, tuple)) and isinstance(index, int):
            return owner[index] if -len(owner) <= index < len(owner) else SOMETHING
        return SOMETHING

    def operation(self, node: ast.expr, frame: Frame) -> Any:
        if isinstance(node, ast.BoolOp):
            values = [self.value(it, frame) for it in node.values]
            ends = [it for it in values if truth(it) == isinstance(node.op, ast.Or)]
            return ends[0] if ends else values[-1]
        if isinstance(node, ast.IfExp):
            chosen = truth(self.value(node.test, frame))
            both = self.value(node.body, frame), self.value(node.orelse, frame)
            return both[0] if chosen else both[1]
        if isinstance(node, ast.UnaryOp):
            inner = self.value(node.operand, frame)
            if isinstance(node.op, ast.Not):
                return not truth(inner)
            return -inner if isinstance(inner, (int, float)) else inner
        if isinstance(node, ast.Compare):
            sides = [self.value(it, frame) for it in (node.left, *node.comparators)]
            return all(map(compared, sides, node.ops, sides[1:]))
        if isinstance(node, ast.BinOp):
            left, right = self.value(node.left, frame), self.value(node.right, frame)
            operator = ARITHMETIC.get(type(node.op))
            if operator and all(isinstance(it, (int, float)) for it in (left, right)):
                divides = isinstance(node.op, (ast.FloorDiv, ast.Mod))
                return SOMETHING if divides and not right else operator(left, right)
        return SOMETHING

    def called(self, node: ast.Call, frame: Frame) -> Any:
        args = [self.value(it, frame) for it in node.args if not isinstance(it, ast.Starred)]
        keywords = {it.arg: self.value(it.value, frame) for it in node.keywords if it.arg}
        if isinstance(node.func, ast.Name) and node.func.id not in frame.names:
            found = self.builtin(node.func.id, node, args, frame)
            if found is not OPTION:
                return found
        boundary = self.boundary(node, args, frame)
        if boundary is not OPTION:
            return boundary
        if isinstance(node.func, ast.Attribute) and node.func.attr in WRAPPER_METHODS:
            wrapper = self.value(node.func.value, frame)
            if not isinstance(wrapper, (Wrapper, Object)):
                wrapper = self.objects.wrapper_called(node.func.value, frame.method) or wrapper
            if isinstance(wrapper, Wrapper):
                self.note(f"{wrapper.name}.{node.func.attr}", node, frame)
                return SOMETHING
        target = self.value(node.func, frame)
        if isinstance(target, Full) and target.name.rpartition(".")[2] == "partial" and args:
            return args[0]
        return self.reached(target, node, args, keywords, frame)

    def reached(
        self,
        target: Any,
        node: ast.Call,
        args: list[Any],
        keywords: Mapping[str, Any],
        frame: Frame,
    ) -> Any:
        """What a call gives of something that is known."""
        if isinstance(target, Given):
            target = self.call(target.method, [], {})
        if isinstance(target, Alternatives):
            held = self.conditions
            for tests, it in target.ways:
                self.conditions = (*held, *tests)
                self.reached(it, node, args, keywords, frame)
            self.conditions = held
            return SOMETHING
        if isinstance(target, Method):
            self.sites.append((node, frame))
            found = self.call(target, args, keywords)
            self.sites.pop()
            return found
        if isinstance(target, Object):
            if target.path is not None:
                self.note_module(target, _residual(node, args, keywords), node, frame)
                return SOMETHING
            method = target.method("forward") or target.method("__call__")
            return self.call(method, args, keywords) if method is not None else SOMETHING
        if isinstance(target, Full) and _is_kernel(target.name) and not _is_class(target.name):
            self.note(target.name, node, frame)
            return SOMETHING
        self.handed_over(node, args, keywords, frame)
        return target if isinstance(target, (bool, int, str, Token)) else SOMETHING

    def handed_over(
        self, node: ast.Call, args: list[Any], keywords: Mapping[str, Any], frame: Frame
    ) -> None:
        """Norms that are arguments of what cannot be followed are called there."""
        if isinstance(node.func, ast.Name) and node.func.id[:1].isupper():
            return
        for it in (*args, *keywords.values()):
            if isinstance(it, Object) and self.objects.is_norm(it):
                self.note_module(it, _residual(node, args, keywords), node, frame)

    def boundary(self, node: ast.Call, args: list[Any], frame: Frame) -> Any:
        """Calls of the machinery that runs norms between stages."""
        if not isinstance(node.func, ast.Attribute):
            return OPTION
        if node.func.attr == "final_norm":
            for norm in args:
                if isinstance(norm, Object) and norm.path is not None:
                    self.note_module(norm, SOMETHING, node, frame)
            return SOMETHING
        if node.func.attr.startswith("prepare"):
            owner = self.value(node.func.value, frame)
            if isinstance(owner, Boundary):
                start = self.situation.get("first_layer", not self.situation) and owner.first
                if start:
                    self.note_module(owner.norm, None, node, frame)
                if not start or not self.situation:
                    self.note_module(owner.norm, SOMETHING, node, frame)
                return SOMETHING
        return OPTION

    def builtin(self, name: str, node: ast.Call, args: list[Any], frame: Frame) -> Any:
        if name == "super":
            method = frame.method
            return _Super(method) if method.owner is not None else SOMETHING
        if name == "hasattr" and len(args) == 2:
            owner = args[0]
            return isinstance(owner, Object) and not isinstance(
                self.objects.attribute(owner, str(args[1])), Open
            )
        if name == "getattr" and len(args) >= 2 and isinstance(args[1], str):
            found = self.attribute(args[0], ast.Attribute(node.args[0], args[1], ast.Load()))
            return args[2] if found is OPTION and len(args) > 2 else found
        own = name in frame.method.file.functions and name != "is_power_of_two"
        if name in _BUILTINS and not own:
            try:
                return _BUILTINS[name](*args)  # type: ignore[operator]
            except (TypeError, ValueError):
                return SOMETHING
        return OPTION


def _Super(method: Method) -> Object:
    """The object, seen as of the classes behind the one that asks."""
    owner = method.owner
    assert owner is not None
    nodes = [node for _, node in owner.bases]
    at = nodes.index(method.within) + 1 if method.within in nodes else 1
    return Object(owner.bases[at:], owner.attributes, owner.path, owner.children)


def _residual(node: ast.Call, args: list[Any], keywords: Mapping[str, Any]) -> Any:
    if "residual" in keywords:
        return keywords["residual"]
    texts = [ast.unparse(it) for it in node.args]
    named = [value for it, value in zip(texts, args) if it.endswith("residual")]
    return named[0] if named else args[1] if len(args) > 1 else None


def _is_kernel(name: str) -> bool:
    last = name.rpartition(".")[2].lstrip("_")
    if name.startswith(NO_KERNELS) or last.startswith(_QUESTIONS) or "support" in last:
        return False
    if set(name.replace("_", ".").split(".")) & {"aiter", "amd", *OTHER_PLATFORMS}:
        return False
    triton = ".attention." in name and ("triton" in name or ".fla." in name)
    return name in KERNEL_NAMES or name.startswith(KERNEL_PACKAGES) or triton


def _is_class(name: str) -> bool:
    return name.rpartition(".")[2][:1].isupper()


__all__ = ["Expressions", "Frame"]
