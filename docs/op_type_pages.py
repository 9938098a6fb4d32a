"""The pages in op_type_schema/: everything that the registry knows about each operation.

A page is made of blocks of Markdown, which a blank line separates. Nothing here loads torch.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from markdown_parts import field_meanings, paragraphs, table

from flashinfer_bench.ops.binding import Argument, Binding
from flashinfer_bench.ops.contract import Constants, Operation, Tensor
from flashinfer_bench.ops.emit import reference_source
from flashinfer_bench.ops.registry import OP_TYPES, operations

_HEADER = "<!-- Written by docs/generate.py from flashinfer_bench/ops, not by hand. -->"
_UNITS = ((10**12, "T"), (10**9, "G"), (10**6, "M"), (10**3, "k"), (1, ""))

Blocks = Iterator[str]


def pages(folder: Path) -> dict[Path, str]:
    """Path of each op_type's page in `folder` -> its text."""
    return {folder / f"{op_type}.md": _page(op_type) for op_type in OP_TYPES}


def index() -> str:
    """A table of all op_types and their operations."""
    rows = []
    for op_type in OP_TYPES:
        kinds = [f"[{it.kind}]({op_type}.md#{it.kind})" for it in operations(op_type)]
        rows.append((f"[{op_type}]({op_type}.md)", _about(op_type)[0], ", ".join(kinds)))
    return table(("op_type", "what it is", "operations"), rows)


def checks() -> str:
    """Every class of check: what its module says, and its settings."""
    users: dict[type, list[str]] = {}
    for operation in operations():
        op_types = users.setdefault(type(operation.check), [])
        if operation.op_type not in op_types:
            op_types.append(operation.op_type)
    return "\n\n".join(block for check in users for block in _check_class(check, users[check]))


def _check_class(check: type, op_types: list[str]) -> Blocks:
    module = sys.modules[check.__module__]
    judged = ", ".join(f"[{op_type}]({op_type}.md)" for op_type in op_types)
    yield f"### {check.__name__}\nJudges {judged}."
    yield from paragraphs(module)
    models = [it for it in vars(module).values() if _holds_settings(it, module.__name__)]
    rows = []
    for model in models:
        meanings = field_meanings(model)
        for field in fields(model):
            name, default = f"`{model.__name__}.{field.name}`", f"`{_default(field)!r}`"
            rows.append((name, default, meanings.get(field.name, "")))
    yield table(("setting", "default", "meaning"), rows)


def _holds_settings(item: Any, module: str) -> bool:
    """Whether it is a dataclass of the module that can be made without arguments."""
    if not (isinstance(item, type) and is_dataclass(item) and item.__module__ == module):
        return False
    return all(_default(field) is not MISSING for field in fields(item))


def _page(op_type: str) -> str:
    found = operations(op_type)
    about, *more = _about(op_type)
    rows = [(f"[{it.kind}](#{it.kind})", f"`{it.naming.official}`", it.summary) for it in found]
    blocks = [
        _HEADER,
        f"# Operations of {op_type}\n{about}",
        *more,
        table(("operation", "name of its definitions", "computes"), rows),
        "[How to read this page](README.md#how-to-read-a-page)",
        *(block for operation in found for block in _operation(operation)),
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _about(op_type: str) -> list[str]:
    return paragraphs(import_module(f"flashinfer_bench.ops.{op_type}"))


def _operation(operation: Operation) -> Blocks:
    example = operation.example
    constants = operation.naming.parse(example.name) or {}
    yield f"## {operation.kind}\n{operation.summary}"
    yield f"Example: `{example.name}`, from {example.of}."
    yield f"```bash\nflashinfer-bench definition {example.name}\n```"
    yield from _name(operation)
    yield from _interface(operation, constants)
    yield from _cost(operation, constants)
    yield from _check(operation)
    yield from _flashinfer(operation)
    source = reference_source(operation, constants)
    yield f"### Reference\nOf `{example.name}`:\n\n```python\n{source.rstrip()}\n```"


def _name(operation: Operation) -> Blocks:
    naming = operation.naming
    yield f"### Name\n`{naming.official}`"
    if naming.accepted:
        older = ", ".join(f"`{pattern}`" for pattern in naming.accepted)
        yield f"Older spellings that are read: {older}"
    rows = []
    for name in naming.constants:
        part = re.search(rf"(\[?)([^{{}}\[\]]*\{{{name}\}})", naming.official)
        if part and (part[1] or name in operation.parameters):
            absent = _without(operation, name) if part[1] else "always there"
            rows.append((f"`{name}`", f"`{part[2]}`", operation.parameters.get(name, ""), absent))
    yield table(("parameter", "in the name", "meaning", "where the name leaves it out"), rows)
    if operation.requires:
        yield f"Possible where {', '.join(f'`{it}`' for it in operation.requires)}."


def _without(operation: Operation, name: str) -> str:
    """What holds when a constant is not given."""
    stated = operation.naming.parse(operation.example.name) or {}
    axes = operation.interface(stated).axes
    if name in axes and name not in stated:
        return f"follows from the others; {axes[name]:,} in the example"
    argument = inspect.signature(operation.reference).parameters.get(name)
    if argument is None or argument.default is None:
        return "there is none"
    return f"{argument.default}"


def _interface(operation: Operation, constants: Constants) -> Blocks:
    interface, lengths = operation.interface(constants), operation.example.lengths
    axes = []
    for name, constant in interface.axes.items():
        kind, length = ("variable", lengths[name]) if constant is None else ("constant", constant)
        axes.append((f"`{name}`", kind, f"{length:,}"))
    yield f"### Interface\n{table(('axis', 'kind', 'length in the example'), axes)}"
    for title, tensors in (("input", interface.inputs), ("output", interface.outputs)):
        rows = [_tensor(name, spec) for name, spec in tensors.items()]
        yield table((title, "shape", "dtype", "optional", "meaning"), rows)
    if interface.constraints:
        rules = "\n".join(f"- `{constraint}`" for constraint in interface.constraints)
        yield f"Constraints:\n\n{rules}"


def _tensor(name: str, spec: Tensor) -> tuple[str, ...]:
    shape = "a number" if spec.axes is None else f"`[{', '.join(spec.axes)}]`"
    optional = "yes" if spec.optional else ""
    return f"`{name}`", shape, f"`{spec.dtype}`", optional, spec.description


def _cost(operation: Operation, constants: Constants) -> Blocks:
    cost = operation.cost(constants, operation.example.lengths)
    rows = [
        ("bytes moved", _amount(cost.bytes_moved, "B"), f"{cost.bytes_moved:,}"),
        ("floating-point operations", _amount(cost.flops, "flop"), f"{cost.flops:,}"),
        ("operations per byte", f"{cost.flops / cost.bytes_moved:,.2f}", ""),
    ]
    yield f"### Cost\nAt least, for {operation.example.of}:"
    yield table(("", "about", "exactly"), rows)


def _amount(number: int, unit: str) -> str:
    size, prefix = next((it for it in _UNITS if number >= it[0]), _UNITS[-1])
    return f"{number / size:.3g} {prefix}{unit}"


def _check(operation: Operation) -> Blocks:
    check = type(operation.check)
    more = f"[More](README.md#{check.__name__.lower()})"
    yield f"### Check\n`{_settings(operation.check)}`: {paragraphs(check)[0]} {more}"


def _settings(value: Any) -> str:
    """A value as Python, of dataclasses the fields that differ from their default."""
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key!r}: {_settings(value[key])}' for key in value)}}}"
    if not is_dataclass(value):
        return repr(value)
    given = {field.name: getattr(value, field.name) for field in fields(value)}
    changed = [field.name for field in fields(value) if given[field.name] != _default(field)]
    words = ", ".join(f"{name}={_settings(given[name])}" for name in changed)
    return f"{type(value).__name__}({words})"


def _default(field: Field[Any]) -> Any:
    """MISSING where there is none."""
    return field.default if field.default_factory is MISSING else field.default_factory()


def _flashinfer(operation: Operation) -> Blocks:
    binding = operation.binding
    if not isinstance(binding, Binding):
        yield f"### FlashInfer\nNo call computes this: {binding.reason}."
        return
    first, *others = [f"`{api}`" for api in binding.apis]
    planned = f", after `{binding.plan}` of the same wrapper" if binding.plan else ""
    also = f"; also {', '.join(others)}" if others else ""
    yield f"### FlashInfer\n{first}{planned}{also}"
    rows = [_argument(name, argument, binding) for name, argument in binding.inputs.items()]
    yield table(("input", "argument", "layout", "where the call does not give it"), rows)
    if binding.note:
        yield f"Note: {binding.note}"


def _argument(name: str, argument: Argument, binding: Binding) -> tuple[str, ...]:
    method = binding.plan if argument.step == "plan" else binding.apis[0].rpartition(".")[2]
    place = f"{method}({argument.name})" if binding.plan else argument.name
    item = "" if argument.item is None else f"[{argument.item}]"
    layout = _described(argument.view, "laid out otherwise")
    return f"`{name}`", f"`{place}{item}`", layout, _described(argument.otherwise, "computed")


def _described(function: Any, otherwise: str) -> str:
    """A function's docstring; empty where there is no function."""
    if function is None:
        return ""
    return (
        paragraphs(function)[0] if inspect.isfunction(function) and function.__doc__ else otherwise
    )
