"""Checks of definition files."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from flashinfer_bench.data import layout
from flashinfer_bench.data.constraints import names_in, unsupported
from flashinfer_bench.data.definition import NEW_DTYPES, Definition
from flashinfer_bench.data.explain import Problem, line_of
from flashinfer_bench.data.flashinfer_dialect import lacks_reference
from flashinfer_bench.data.reading import parse_folder
from flashinfer_bench.data.validation.collector import At, Collector
from flashinfer_bench.data.validation.keys import check_keys
from flashinfer_bench.data.validation.report import DefinitionReport

_DUMP_KEYS = {"check", "init", "param", "api_dtype"}
"""Keys that FlashInfer's trace dump adds."""


def check_definitions(collector: Collector) -> None:
    """Every file under definitions/; fills `collector.definitions`."""
    found = list(parse_folder(Definition, collector.root / "definitions"))
    for path, record in found:
        name = path.stem if isinstance(record, Problem) else record.name
        collector.report.definitions.setdefault(name, DefinitionReport())
    first: dict[str, Path] = {}
    for path, record in found:
        if isinstance(record, Problem):
            collector.problem("definition", path.stem, record)
            continue
        if record.name in first:
            other = collector.relative(first[record.name])
            message = f"definition {record.name!r} is also in {other}; rename or remove one"
            collector.error("definition", record.name, message, At(path))
            continue
        first[record.name] = path
        collector.definitions[record.name] = record
    for name, path in first.items():
        _check_definition(collector, path, collector.definitions[name])
    _drop_unchosen(collector)


def _drop_unchosen(collector: Collector) -> None:
    reports = collector.report.definitions
    for name in [name for name in reports if not collector.wants(name)]:
        del reports[name]


def _check_definition(collector: Collector, path: Path, definition: Definition) -> None:
    name, text = definition.name, path.read_text(encoding="utf-8-sig")
    strange = [part for part in ("name", "op_type") if not _is_file_name(getattr(definition, part))]
    for part in strange:
        message = f"{part}: {getattr(definition, part)!r} cannot name a file"
        collector.error("definition", name, message, At(path, line_of(text, [part])))
    if not strange:
        collector.check_place(name, path, partial(layout.definition_file, definition))
    for key, message in _interface_faults(definition):
        collector.error("definition", name, message, At(path, line_of(text, [key])))
    for place, message in _limits(definition):
        collector.warn("definition", name, message, At(path, line_of(text, place)))
    check_keys(collector, "definition", name, path, definition, _DUMP_KEYS)


def _is_file_name(name: str) -> bool:
    return name not in (".", "..") and not set(name) & set('/\\\0:*?"<>|\n')


def _interface_faults(definition: Definition) -> Iterator[tuple[str, str]]:
    """What makes a definition unusable: (key, message)."""
    message = _signature_fault(definition)
    if message:
        yield "reference", message
    names = {*definition.axes, *definition.inputs, *definition.outputs}
    for constraint in definition.constraints:
        reason = unsupported(constraint)
        if reason:
            yield "constraints", f"{constraint!r} cannot be evaluated: {reason}"
            continue
        for name in sorted(names_in(constraint) - names):
            yield "constraints", f"{constraint!r}: {name!r} is no axis, input or output"


def _limits(definition: Definition) -> Iterator[tuple[list[str], str]]:
    """What a definition cannot be used for: (place, message)."""
    if lacks_reference(definition.model_dump(mode="json")):
        yield ["name"], "there is no reference, so no output can be judged; write one"
    for axis in definition.var_axes:
        if axis not in definition.var_axes_bindings:
            message = f"variable axis {axis!r} is in no input's shape, so no call can be matched"
            yield ["axes", axis], message
    for kind, specs in (("inputs", definition.inputs), ("outputs", definition.outputs)):
        for name, spec in specs.items():
            if spec.dtype in NEW_DTYPES:
                yield [kind, name], f"{name}: the public tool rejects dtype {spec.dtype}"


def _signature_fault(definition: Definition) -> str | None:
    """Why the reference's `run` cannot take the inputs in their order."""
    run = next(
        node
        for node in ast.parse(definition.reference).body
        if isinstance(node, ast.FunctionDef) and node.name == "run"
    )
    if _is_stub(run):
        return None
    positional = [*run.args.posonlyargs, *run.args.args]
    names, inputs = [arg.arg for arg in positional], list(definition.inputs)
    needed = len(names) - len(run.args.defaults)
    if len(inputs) > len(names) and not run.args.vararg:
        return f"run takes {len(names)} arguments, but there are {len(inputs)} inputs"
    if len(inputs) < needed:
        return f"run needs {', '.join(names[len(inputs) : needed])}, which is no input"
    if any(default is None for default in run.args.kw_defaults):
        return "run has keyword-only arguments; inputs are given by position"
    swapped = [(a, b) for a, b in zip(inputs, names) if a != b and (a in names or b in inputs)]
    if swapped:
        return (
            f"run's {swapped[0][1]!r} stands where input {swapped[0][0]!r} comes; use their order"
        )
    return None


def _is_stub(run: ast.FunctionDef) -> bool:
    """Whether the body only passes, raises or returns a constant: still to be written."""
    return all(
        isinstance(node, (ast.Pass, ast.Raise))
        or (isinstance(node, (ast.Expr, ast.Return)) and _is_constant(node.value))
        for node in run.body
    )


def _is_constant(value: ast.expr | None) -> bool:
    return value is None or isinstance(value, ast.Constant)


__all__ = ["check_definitions"]
