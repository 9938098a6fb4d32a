"""Objects that a `forward` reaches: modules of the tree, and what their constructors hold."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flashinfer_bench.models.sglang.build import ModelTree
from flashinfer_bench.models.sglang.kernels.files import (
    Definition,
    File,
    Files,
    Tests,
    flat,
    guarded,
    imported,
)
from flashinfer_bench.models.sglang.kernels.sizes import fused_experts
from flashinfer_bench.models.sglang.kernels.tables import REGISTRY, platform_of
from flashinfer_bench.models.sglang.kernels.values import (
    OPTION,
    SOMETHING,
    Boundary,
    Condition,
    Given,
    Method,
    Object,
    Wrapper,
    alternatives,
)
from flashinfer_bench.models.tree import ModuleNode

_DEPTH = 4
Bases = tuple[tuple[File, ast.ClassDef], ...]
_FOLLOWED = ("LayerCommunicator", "IndicesUpdater", "ChunkKVRunner")
"""Parts of class names whose objects are followed where a constructor makes them."""
_CHOSEN = ("Kernel", "KernelDispatcher", "RunnerCore")
"""Ends of class names of which a constructor makes one of several."""


@dataclass(frozen=True)
class Assigned:
    """A value that a constructor gives to a name or an attribute."""

    file: File
    value: ast.expr
    at: int | None
    """Place in a tuple that is unpacked."""
    tests: Tests
    names: Mapping[str, list[Assigned]]
    """Names of the constructor's own."""


class Objects:
    """Makes them, and finds their attributes."""

    def __init__(self, files: Files, tree: ModelTree) -> None:
        self.files, self.tree = files, tree
        self._bases: dict[str, Bases] = {}
        self._init: dict[int, dict[str, list[Assigned]]] = {}
        self._wrappers: dict[str, list[tuple[set[str], str]]] = {}
        self.situation: Mapping[str, Any] = {}

    def module(self, node: ModuleNode, path: str) -> Object:
        """Of a node of the tree."""
        facts = self.tree.classes.get(node.place)
        bases: list[tuple[File, ast.ClassDef]] = []
        for place in facts.lineage if facts else ():
            file = self.files.named(place.file)
            found = file.class_at(place.line) if file else None
            if file and found:
                bases.append((file, found))
        attributes = dict(facts.attributes) if facts else {}
        attributes.update(node.facts)
        if node.role == "routing":
            attributes["topk_config"] = {
                **node.facts,
                "num_fused_shared_experts": fused_experts(self.tree),
            }
            if node.facts.get("correction_bias"):
                attributes["topk_config"]["correction_bias"] = SOMETHING
        children = {it.name: it for it in node.children}
        return Object(tuple(bases), attributes, path, children)

    def of_class(self, full: str) -> Object | None:
        """An object of a class by its full name."""
        bases = self.bases(full)
        return Object(bases) if bases else None

    def bases(self, full: str) -> Bases:
        """A class and those it inherits from, inside SGLang."""
        if full not in self._bases:
            self._bases[full] = ()
            found = self.files.definition(full)
            if found is not None and isinstance(found[1], ast.ClassDef):
                file, node = found[0], found[1]
                inherited = [it for base in node.bases for it in self.bases(_full(base, file))]
                self._bases[full] = ((file, node), *dict.fromkeys(inherited))
        return self._bases[full]

    def attribute(self, owner: Object, name: str) -> Any:
        """OPTION where nothing states it."""
        child = owner.children.get(name)
        if child is not None:
            return self.module(child, f"{owner.path}.{name}" if owner.path else name)
        stated = platform_of(name)
        if stated is not None:
            return stated
        if name in owner.attributes:
            return owner.attributes[name]
        if name in self.situation:
            return self.situation[name]
        made = self.made(owner, name)
        if made is not OPTION:
            owner.attributes[name] = made
            return made
        return owner.method(name) or OPTION

    def is_norm(self, it: Object) -> bool:
        return it.path is not None and any("Norm" in node.name for _, node in it.bases)

    def made(self, owner: Object, name: str) -> Any:
        """What a constructor assigns to an attribute."""
        for file, node in owner.bases:
            rows = self.assigned(file, node).get(name, [])
            for row in reversed(rows):
                found = self._made(owner, row)
                if found is not OPTION:
                    return found
            chosen = alternatives(self._chosen(owner, rows)) if not self.situation else OPTION
            if chosen is not OPTION:
                return chosen
        return OPTION

    def _chosen(self, owner: Object, rows: list[Assigned], depth: int = 0) -> Iterator[Any]:
        """Tests and values of an attribute that a constructor chooses."""
        for row in rows:
            tests = tuple(
                Condition(" ".join(ast.unparse(it).split()), way) for it, way in row.tests
            )
            for more, found in self._choices(owner, row, depth):
                yield (*tests, *more), found

    def _choices(self, owner: Object, row: Assigned, depth: int) -> Iterator[Any]:
        value = row.value
        if isinstance(value, ast.Name):
            if depth < _DEPTH and value.id in row.names:
                yield from self._chosen(owner, row.names[value.id], depth + 1)
            elif value.id in row.file.functions:
                yield (), Method(row.file, row.file.functions[value.id])
        elif isinstance(value, ast.Call):
            called, full = _last(value.func), _full(value.func, row.file)
            if called.endswith(_CHOSEN):
                made = self.of_class(full) or self.of_class(self._imported(row, called))
                if made is not None:
                    yield (), made
            elif not called[:1].isupper() and isinstance(value.func, ast.Name):
                found = self.files.definition(full)
                node = found[1] if found else row.file.functions.get(called)
                if isinstance(node, Definition):
                    yield (), Given(Method(found[0] if found else row.file, node))

    def _imported(self, row: Assigned, name: str) -> str:
        """Full name by the import statements inside a constructor."""
        held = row.names.get(f"import {name}")
        return ast.unparse(held[0].value) if held else name

    def _made(self, owner: Object, row: Assigned) -> Any:
        file, value, at = row.file, row.value, row.at
        if isinstance(value, ast.Attribute) and getattr(value.value, "id", "") == "self":
            if value.attr in owner.children:
                return self.attribute(owner, value.attr)
            return owner.method(value.attr) or OPTION
        if not isinstance(value, ast.Call):
            return OPTION
        called = _last(value.func)
        if called == "append_stages" and at is not None and at < len(value.args):
            stage = value.args[at]
            norm = stage.elts[1] if isinstance(stage, ast.Tuple) and len(stage.elts) > 1 else None
            child = self._child(owner, norm)
            return Boundary(child, at == 0) if child is not None else OPTION
        if at is not None and "stages" in called:
            handed = [self._child(owner, it) for it in (*value.args, *_values(value))]
            norms = [it for it in handed if it is not None and self.is_norm(it)]
            return Boundary(norms[at], at == 0) if at < len(norms) else OPTION
        full = _full(value.func, file)
        if full.startswith("flashinfer.") and called.endswith("Wrapper"):
            return Wrapper(full)
        if any(part in called for part in _FOLLOWED):
            made = self.of_class(full)
            if made is not None:
                pairs = [(it.arg, self._child(owner, it.value)) for it in value.keywords]
                made.attributes.update({key: it for key, it in pairs if key and it is not None})
                return made
        return OPTION

    def _child(self, owner: Object, node: ast.expr | None) -> Object | None:
        if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "self":
            found = self.attribute(owner, node.attr)
            return found if isinstance(found, Object) else None
        return None

    def assigned(self, file: File, node: ast.ClassDef) -> dict[str, list[Assigned]]:
        """Attribute -> what the constructor of one class assigns to it, in source order."""
        if id(node) in self._init:
            return self._init[id(node)]
        found: dict[str, list[Assigned]] = {}
        names: dict[str, list[Assigned]] = {}
        inits = [it for it in node.body if isinstance(it, Definition) and it.name == "__init__"]
        for statement, tests in guarded(inits[0].body) if inits else ():
            for name, full in imported([statement], file.name).items():
                value = ast.parse(full, mode="eval").body
                names[f"import {name}"] = [Assigned(file, value, None, (), names)]
            if isinstance(statement, ast.Assign):
                target = statement.targets[0]
                many = isinstance(target, ast.Tuple)
                for at, it in enumerate(target.elts if isinstance(target, ast.Tuple) else [target]):
                    row = Assigned(file, statement.value, at if many else None, tests, names)
                    if isinstance(it, ast.Attribute):
                        found.setdefault(it.attr, []).append(row)
                    elif isinstance(it, ast.Name):
                        names.setdefault(it.id, []).append(row)
        self._init[id(node)] = found
        return found

    def wrapper_called(self, node: ast.expr, method: Method) -> Wrapper | None:
        """By the words of its name, of those that the file makes; else by those of the class."""
        while isinstance(node, ast.Subscript):
            node = node.value
        words = _words(_last(node))
        if "wrapper" not in words:
            return None
        found = [it for it in self._made_in(method.file) if words <= it[0]]
        about = method.within.name.lower() if method.within else ""
        near = [it for it in found if any(word in about for word in it[0] - {"wrapper", "mla"})]
        chosen = near or found
        return Wrapper(chosen[0][1]) if chosen else None

    def _made_in(self, file: File) -> list[tuple[set[str], str]]:
        """Words of names -> full name of the wrapper class, of all that a file makes."""
        if file.name not in self._wrappers:
            rows: list[tuple[set[str], str]] = []
            for node in ast.walk(file.tree):
                if isinstance(node, ast.Assign):
                    target, value = node.targets[0], node.value
                elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "append":
                    target, value = node.func.value, (node.args or [node])[0]  # type: ignore[attr-defined]
                else:
                    continue
                full = _full(value.func, file) if isinstance(value, ast.Call) else ""
                if full.startswith("flashinfer.") and full.endswith("Wrapper"):
                    rows.append((_words(_last(target)), full))
            self._wrappers[file.name] = rows
        return self._wrappers[file.name]

    def backend(self, name: str, *, latent: bool) -> Object | None:
        """The class of an attention backend, by the registry of this version."""
        file = self.files.module(REGISTRY)
        for node in file.functions.values() if file else ():
            if file is None or not _registers(node, name):
                continue
            inner = flat(node.body)
            names = {**file.imports, **imported(inner, file.name)}
            returned = [
                names.get(getattr(it.value.func, "id", ""), "")
                for it in inner
                if isinstance(it, ast.Return) and isinstance(it.value, ast.Call)
            ]
            returned = [it for it in returned if it]
            if returned:
                return self.of_class(returned[-1] if latent else returned[0])
        return None


def _registers(node: Definition, name: str) -> bool:
    for it in node.decorator_list:
        if isinstance(it, ast.Call) and "register_attention_backend" in ast.unparse(it.func):
            return bool(it.args) and getattr(it.args[0], "value", None) == name
    return False


def _values(node: ast.Call) -> list[ast.expr]:
    return [it.value for it in node.keywords]


def _last(node: ast.AST) -> str:
    """Last name of an expression such as `self.decode_wrapper`."""
    return str(getattr(node, "attr", None) or getattr(node, "id", ""))


def _words(name: str) -> set[str]:
    return {it.removesuffix("s") if it == "wrappers" else it for it in name.split("_") if it}


def _full(node: ast.expr, file: File) -> str:
    """Full name of what an expression names, by the imports of its file."""
    text = ast.unparse(node)
    first, _, rest = text.partition(".")
    if first in file.classes:
        module = file.name.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
        return f"{module}.{text}"
    base = file.imports.get(first, first)
    return f"{base}.{rest}" if rest else base


__all__ = ["Objects"]
