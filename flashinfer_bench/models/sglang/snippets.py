"""Source of the functions that run a model's modules, and what a file of architectures holds."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from flashinfer_bench.models.evaluator.values import Place
from flashinfer_bench.models.sglang.build import ModelTree
from flashinfer_bench.models.sglang.kernels.files import Definition, File, files_of
from flashinfer_bench.models.sglang.source import SglangSource

_MOST_LINES = 80


@dataclass(frozen=True)
class Snippet:
    """A function of a class, cut after 80 lines."""

    class_name: str
    function: str
    place: Place
    last_line: int
    code: str


@dataclass(frozen=True)
class ClassOutline:
    """A class of a file, from its text alone."""

    name: str
    place: Place
    bases: tuple[str, ...]
    functions: tuple[str, ...]


def forward_snippets(tree: ModelTree, source: SglangSource) -> list[Snippet]:
    """`forward` of the model and of each class inside it that SGLang's model files define."""
    files, found = files_of(source.package), dict[Place, Snippet]()
    for _, node in tree.root.walk():
        file = files.named(node.place.file)
        if file is None or node.place in found or "/models/" not in node.place.file:
            continue
        statement = file.class_at(node.place.line)
        if statement is not None:
            for it in _functions(file, statement):
                found[node.place] = it
    return list(found.values())


def class_outlines(source: SglangSource, file: str) -> list[ClassOutline]:
    """Classes of a file, named relative to the package, in its order."""
    held = files_of(source.package).named(f"{source.package.name}/{file}")
    return [
        ClassOutline(
            it.name,
            held.place(it),
            tuple(ast.unparse(base) for base in it.bases),
            tuple(inner.name for inner in it.body if isinstance(inner, Definition)),
        )
        for it in (held.classes.values() if held else ())
        if held is not None
    ]


def _functions(file: File, statement: ast.ClassDef) -> Iterator[Snippet]:
    for it in statement.body:
        if isinstance(it, Definition) and it.name == "forward":
            last = it.end_lineno or it.lineno
            lines = file.lines[it.lineno - 1 : min(last, it.lineno - 1 + _MOST_LINES)]
            code = "\n".join(lines)
            yield Snippet(statement.name, it.name, file.place(it), last, code)


__all__ = ["ClassOutline", "Snippet", "class_outlines", "forward_snippets"]
