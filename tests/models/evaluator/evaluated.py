"""Small packages for the evaluator's tests, and a boundary that stands for nothing by itself."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from flashinfer_bench.models.evaluator.evaluator import Evaluator
from flashinfer_bench.models.evaluator.modules import Finder
from flashinfer_bench.models.evaluator.scope import Scope
from flashinfer_bench.models.evaluator.values import Unknown

MYSTERY = Unknown("a mystery")
QUIET = Unknown("machinery", quiet=True)


class Standing:
    """`mystery` and `quiet` are Unknown in every module; other names by the table."""

    def __init__(self, modules: Mapping[str, Any] = {}, names: Mapping[str, Any] = {}) -> None:
        self.modules = modules
        self.names = {"mystery": MYSTERY, "quiet": QUIET, **names}

    def module(self, name: str) -> Any:
        return self.modules.get(name)

    def value(self, module: str, name: str) -> Any:
        return self.names.get(name, NotImplemented)

    def make_class(
        self, name: str, node: ast.ClassDef, scope: Scope, bases: Sequence[type]
    ) -> type | None:
        return None


def write(folder: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        path = folder / "pkg" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder / "pkg"


def evaluator(
    folder: Path, files: Mapping[str, str], standing: Standing | None = None, **budget: int
) -> Evaluator:
    package = write(folder, {"__init__.py": "", **files})
    return Evaluator(Finder({"pkg": package}), standing or Standing(), **budget)


def evaluate(
    folder: Path, text: str, name: str = "result", standing: Standing | None = None, **budget: int
) -> Any:
    """A name of a module with this text."""
    return evaluator(folder, {"main.py": text}, standing, **budget).import_name("pkg.main", name)


def run_by_python(text: str) -> Any:
    """What Python itself gives for `result`."""
    names: dict[str, Any] = {"__name__": "made_up"}
    exec(compile(text, "snippet", "exec", dont_inherit=True), names)
    return names["result"]
