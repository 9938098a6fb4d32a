"""Operations as Definitions: the interface from the constants, the reference's source as text."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from flashinfer_bench.data import Definition
from flashinfer_bench.data.constraints import check_constraint, names_in
from flashinfer_bench.errors import DataError
from flashinfer_bench.ops.binding import Binding
from flashinfer_bench.ops.contract import Constants, Interface, Operation, Tensor

_PACKAGE = "flashinfer_bench.ops"
_LOCAL_ONLY = re.compile(r"  # type: ignore\[[\w-]+\]|^    import (?:torch|math)\n\n?", re.M)
"""What the functions need here, and the emitted text does not."""
_WIDTH = 100


def emit(operation: Operation, constants: Constants) -> Definition:
    """The definition of an operation with these constants; DataError for impossible ones."""
    interface = operation.interface(constants)
    _require_possible(operation, interface, constants)
    axes = {
        name: {"type": "var"} if length is None else {"type": "const", "value": length}
        for name, length in interface.axes.items()
    }
    return Definition.model_validate(
        {
            "name": operation.naming.format(constants),
            "op_type": operation.op_type,
            "description": _description(operation, interface, constants),
            "tags": _tags(operation),
            "axes": axes,
            "constraints": list(interface.constraints),
            "inputs": {name: _tensor(spec) for name, spec in interface.inputs.items()},
            "outputs": {name: _tensor(spec) for name, spec in interface.outputs.items()},
            "reference": reference_source(operation, constants),
        }
    )


def _require_possible(operation: Operation, interface: Interface, constants: Constants) -> None:
    """Raises DataError for lengths of zero, and for conditions on constants that do not hold."""
    axes = {axis: length for axis, length in interface.axes.items() if length is not None}
    known = {**axes, **constants}
    conditions = [f"{axis} >= 1" for axis in axes]
    conditions += [it for it in interface.constraints if names_in(it) <= known.keys()]
    for condition in (*conditions, *operation.requires):
        if names_in(condition) <= known.keys() and not check_constraint(condition, known).holds:
            values = ", ".join(f"{it} is {known[it]}" for it in sorted(names_in(condition)))
            name = operation.naming.format(constants)
            raise DataError(f"{name} is impossible: {values}; expected {condition}")


def reference_source(operation: Operation, constants: Constants) -> str:
    """Self-contained Python: the reference, what it calls in its module, and `run`."""
    interface = operation.interface(constants)
    given = [f"{name}={constants[name]}" for name in operation.parameters if name in constants]
    results = ", ".join(interface.outputs)
    call = f"    {results} = {operation.reference.__name__}"
    rounded = [f"{name}.to(torch.{spec.dtype})" for name, spec in interface.outputs.items()]
    run = [
        f"{_wrapped('def run', interface.inputs)}:",
        _wrapped(call, [*interface.inputs, *given]),
        f"    return {', '.join(rounded)}",
    ]
    closure = _LOCAL_ONLY.sub("", _closure(operation.reference))
    imports = "import math\n\nimport torch\n" if "math." in closure else "import torch\n"
    return "\n".join([f"{imports}{closure}\n", *run, ""])


def _wrapped(start: str, arguments: Iterable[str]) -> str:
    """`start(arguments)`, the arguments on lines of their own where one is not enough."""
    inside, margin = ", ".join(arguments), " " * (len(start) - len(start.lstrip()))
    line = f"{start}({inside})"
    if len(line) < _WIDTH:
        return line
    lines = textwrap.wrap(inside, _WIDTH - len(margin) - 4)
    return "\n".join([f"{start}(", *(f"{margin}    {line}" for line in lines), f"{margin})"])


@cache
def _closure(function: Callable[..., Any]) -> str:
    """Source of a function and of everything in this package that it uses, in reading order."""
    places: dict[str, _Place] = {}
    waiting = [(Path(inspect.getfile(function)), function.__name__)]
    while waiting:
        path, name = waiting.pop()
        place = _top_level(path).get(name)
        if place is not None and name not in places:
            places[name] = place
            used = [node.id for node in ast.walk(place.node) if isinstance(node, ast.Name)]
            waiting += [(place.path, name) for name in used]
    last = Path(inspect.getfile(function))
    parts = sorted(set(places.values()), key=lambda it: (it.path == last, it.path, it.node.lineno))
    return "".join(f"\n\n{place.text}\n" for place in parts)


@dataclass(frozen=True)
class _Place:
    """One statement at the top level of a module."""

    path: Path
    node: ast.stmt
    text: str


@cache
def _top_level(path: Path) -> dict[str, _Place]:
    """Name -> the statement that binds it, through imports from this package."""
    source = path.read_text()
    places: dict[str, _Place] = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(_PACKAGE):
            origin = Path(inspect.getfile(import_module(node.module or "")))
            names = [alias.name for alias in node.names]
            places |= {name: it for name, it in _top_level(origin).items() if name in names}
        else:
            place = _Place(path, node, ast.get_source_segment(source, node) or "")
            places |= dict.fromkeys(_names_bound(node), place)
    return places


def _names_bound(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.FunctionDef):
        return [node.name]
    if isinstance(node, ast.Assign):
        return [target.id for target in node.targets if isinstance(target, ast.Name)]
    return []


def _description(operation: Operation, interface: Interface, constants: Constants) -> str:
    """The summary, then a line for each name that needs one."""
    tensors = {**interface.inputs, **interface.outputs}
    meanings = {name: spec.description for name, spec in tensors.items() if spec.description}
    for name, meaning in operation.parameters.items():
        if name in constants:
            meanings[f"{name} = {constants[name]}"] = meaning
    return "\n".join([operation.summary, *(f"{name}: {meanings[name]}" for name in meanings)])


def _tags(operation: Operation) -> list[str]:
    binding = operation.binding
    if not isinstance(binding, Binding):
        return list(operation.tags)
    return [f"fi_api:{binding.apis[0].removesuffix('.run')}", *operation.tags]


def _tensor(spec: Tensor) -> dict[str, Any]:
    record: dict[str, Any] = {
        "shape": None if spec.axes is None else list(spec.axes),
        "dtype": spec.dtype,
    }
    if spec.optional:
        record["optional"] = True
    return record


__all__ = ["emit", "reference_source"]
