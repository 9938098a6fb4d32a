"""SGLang's files as syntax trees, with what each name of a file is by its imports."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cached_property, lru_cache
from pathlib import Path

from flashinfer_bench.models.evaluator.values import Place
from flashinfer_bench.models.sglang.kernels.tables import platform_truth

Definition = ast.FunctionDef | ast.AsyncFunctionDef


class File:
    """One parsed file; branches for other platforms count for nothing."""

    def __init__(self, package: Path, name: str) -> None:
        self.package, self.name = package, name
        self.text = (package.parent / name).read_text(encoding="utf-8-sig", errors="replace")
        self.tree = ast.parse(self.text)
        self.lines = self.text.split("\n")

    def place(self, node: ast.AST) -> Place:
        return Place(self.name, getattr(node, "lineno", 0))

    def snippet(self, node: ast.AST) -> str:
        """At most three lines."""
        first = getattr(node, "lineno", 1)
        last = min(getattr(node, "end_lineno", None) or first, first + 2)
        return "\n".join(line.strip() for line in self.lines[first - 1 : last])

    @cached_property
    def statements(self) -> list[ast.stmt]:
        """Of the module, those in branches and attempts too."""
        return list(flat(self.tree.body))

    @cached_property
    def imports(self) -> dict[str, str]:
        """Name -> full name."""
        return imported(self.statements, self.name)

    @cached_property
    def functions(self) -> dict[str, Definition]:
        found = (it for it in self.statements if isinstance(it, Definition))
        return {it.name: it for it in found}

    @cached_property
    def classes(self) -> dict[str, ast.ClassDef]:
        return {it.name: it for it in self.statements if isinstance(it, ast.ClassDef)}

    @cached_property
    def values(self) -> dict[str, ast.expr]:
        """Of names that the module assigns."""
        found: dict[str, ast.expr] = {}
        for it in self.statements:
            if isinstance(it, ast.Assign) and isinstance(it.targets[0], ast.Name):
                found[it.targets[0].id] = it.value
        return found

    def class_at(self, line: int) -> ast.ClassDef | None:
        for node in ast.walk(self.tree):
            if isinstance(node, ast.ClassDef) and node.lineno == line:
                return node
        return None


def flat(body: list[ast.stmt]) -> list[ast.stmt]:
    """Statements with those inside `if` and `try`, those of other platforms left out."""
    return [it for it, _ in guarded(body)]


Tests = tuple[tuple[ast.expr, bool], ...]


def guarded(body: list[ast.stmt], tests: Tests = ()) -> Iterator[tuple[ast.stmt, Tests]]:
    """The same, each with the tests around it and which way they go."""
    for it in body:
        yield it, tests
        if isinstance(it, ast.If):
            truth = platform_truth(it.test)
            if truth is not False:
                yield from guarded(it.body, tests if truth else (*tests, (it.test, True)))
            if truth is not True:
                held = tests if truth is False else (*tests, (it.test, False))
                yield from guarded(it.orelse, held)
        elif isinstance(it, ast.Try):
            yield from guarded([*it.body, *it.orelse], tests)
        elif isinstance(it, ast.With):
            yield from guarded(it.body, tests)


def imported(statements: list[ast.stmt], file: str) -> dict[str, str]:
    """Name -> full name, of the import statements among these."""
    names: dict[str, str] = {}
    for it in statements:
        if isinstance(it, ast.Import):
            for alias in it.names:
                root = alias.name.split(".")[0]
                names[alias.asname or root] = alias.name if alias.asname else root
        elif isinstance(it, ast.ImportFrom):
            package = file.removesuffix(".py").split("/")[: -it.level] if it.level else []
            module = ".".join([*package, *([it.module] if it.module else [])])
            names.update(
                {alias.asname or alias.name: f"{module}.{alias.name}" for alias in it.names}
            )
    return names


class Files:
    """All files of one package, parsed when they are first asked for."""

    def __init__(self, package: Path) -> None:
        self.package = package
        self._known: dict[str, File | None] = {}

    def named(self, name: str) -> File | None:
        """By its place, as `sglang/srt/models/llama.py`."""
        if name not in self._known:
            there = name.endswith(".py") and (self.package.parent / name).is_file()
            try:
                self._known[name] = File(self.package, name) if there else None
            except SyntaxError:
                self._known[name] = None
        return self._known[name]

    def module(self, name: str) -> File | None:
        base = name.replace(".", "/")
        return self.named(f"{base}.py") or self.named(f"{base}/__init__.py")

    def decorated(
        self, package: str, decorator: str, argument: str
    ) -> list[tuple[File, Definition]]:
        """Functions of a package's modules that such a decorator registers under a name."""
        folder = self.package.parent / package.replace(".", "/")
        files = [self.module(f"{package}.{it.stem}") for it in sorted(folder.glob("*.py"))]
        return [
            (file, node)
            for file in files
            if file is not None
            for node in file.functions.values()
            if any(_is_call(it, decorator, argument) for it in node.decorator_list)
        ]

    def definition(
        self, full: str, depth: int = 0
    ) -> tuple[File, Definition | ast.ClassDef] | None:
        """The function or class of a full name, through files that pass it on."""
        module, _, name = full.rpartition(".")
        file = self.module(module) if full.startswith("sglang.") and depth < 6 else None
        if file is None:
            return None
        found = file.functions.get(name) or file.classes.get(name)
        if found is not None:
            return file, found
        onward = file.imports.get(name)
        return self.definition(onward, depth + 1) if onward else None


def _is_call(node: ast.expr, function: str, argument: str) -> bool:
    if not isinstance(node, ast.Call) or ast.unparse(node.func).rpartition(".")[2] != function:
        return False
    return any(getattr(it, "value", None) == argument for it in node.args)


@lru_cache(maxsize=4)
def files_of(package: Path) -> Files:
    return Files(package)


__all__ = ["Definition", "File", "Files", "Tests", "files_of", "flat", "guarded", "imported"]
