"""Checks of solution files."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from flashinfer_bench.data import layout
from flashinfer_bench.data.explain import Problem
from flashinfer_bench.data.reading import parse_folder
from flashinfer_bench.data.solution import Solution, SupportedLanguages
from flashinfer_bench.data.validation.collector import At, Collector
from flashinfer_bench.data.validation.keys import check_keys

_PYTHON_FAMILY = (
    SupportedLanguages.PYTHON,
    SupportedLanguages.TRITON,
    SupportedLanguages.TILELANG,
)


def check_solutions(collector: Collector) -> None:
    """Every file under solutions/; fills `collector.solutions`."""
    paths: dict[str, Path] = {}
    for path, record in parse_folder(Solution, collector.root / "solutions"):
        if isinstance(record, Problem):
            collector.problem("solution", path.parent.name, record)
            continue
        if record.name in paths:
            other = collector.relative(paths[record.name])
            message = f"solution {record.name!r} is also in {other}; rename or remove one"
            collector.error("solution", record.definition, message, At(path))
            continue
        paths[record.name] = path
        collector.solutions[record.name] = record
        _check_solution(collector, path, record)


def _check_solution(collector: Collector, path: Path, solution: Solution) -> None:
    name, definition = solution.definition, collector.definitions.get(solution.definition)
    if definition is None:
        message = f"definition {name!r} is not in this dataset; add it or remove the solution"
        collector.error("solution", name, message, At(path))
    else:
        place = partial(layout.solution_file, solution, definition.op_type)
        collector.check_place(name, path, place)
    fault = _entry_fault(solution)
    if fault:
        collector.error("solution", name, fault, At(path))
    check_keys(collector, "solution", name, path, solution)


def _entry_fault(solution: Solution) -> str | None:
    """Why the entry point of a Python-family solution cannot be called."""
    if solution.spec.language not in _PYTHON_FAMILY:
        return None
    source = solution.get_entry_source()
    try:
        body = ast.parse(source.content).body
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None) or "?"
        return f"{source.path} is not Python: line {line}: {error}"
    symbol = solution.get_entry_symbol()
    if symbol in _top_level_names(body) or "*" in _top_level_names(body):
        return None
    return f"{source.path} has no top-level {symbol!r}, which the entry point names"


def _top_level_names(body: Iterable[ast.AST]) -> set[str]:
    """Names that a module binds, inside `if` and `try` too, but not inside functions."""
    names: set[str] = set()
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            names |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        else:
            names |= _top_level_names(ast.iter_child_nodes(node))
    return names


__all__ = ["check_solutions"]
