"""Definitions as FlashInfer's own trace dump (FLASHINFER_TRACE_DUMP=1) writes them.

The dump uses our vocabulary with looser rules: the reference has another name than `run` or is
missing, in-place operations share names between inputs and outputs, constant axes may lack their
value, shapes name axes that are not declared, and dtypes can be words of their own. `normalise`
turns such a record into one that keeps the rules; its further keys (`check`, `init`, `param`,
`optional`) stay. Source: FlashInfer 0.7.2 trace dumps.
"""

from __future__ import annotations

import ast
import re
from typing import Any

Record = dict[str, Any]

_KNOWN_DTYPE = re.compile(r"bfloat16|float(16|32|64|8_\w+|4_e2m1)|u?int(8|16|32|64)|bool|unknown")
_REFERENCE_NAME = re.compile(r"_\w*reference")

_NO_REFERENCE = """def run({parameters}):
    raise NotImplementedError("FlashInfer's trace dump of {name} carries no reference")
"""
_RUN = """

def run({parameters}):
    return {function}({arguments})
"""
_RUN_WITH_OPTIONS = """

def run({parameters}):
    optional = {{{optional}}}
    given = {{name: value for name, value in optional.items() if value is not None}}
    return {function}(**given, {arguments})
"""


def normalise(data: Record) -> Record:
    """The same definition under our rules; a record that is no FlashInfer dump comes back as is."""
    if not _is_dump(data):
        return data
    inputs = {name: _tensor(spec) for name, spec in data["inputs"].items()}
    outputs: Record = {}
    for name, spec in data["outputs"].items():
        free = name
        while free in inputs or free in outputs or (free != name and free in data["outputs"]):
            free += "_out"
        outputs[free] = _tensor(spec)
    return {
        **data,
        "axes": _axes(data["axes"], [*inputs.values(), *outputs.values()]),
        "inputs": inputs,
        "outputs": outputs,
        "reference": _reference(data, inputs),
    }


def lacks_reference(definition: Record) -> bool:
    """Whether the reference only says that the dump had none."""
    stub = _NO_REFERENCE.format(
        parameters=_parameters(definition["inputs"]), name=definition["name"]
    )
    return bool(definition["reference"] == stub)


def _is_dump(data: Record) -> bool:
    tensors = [data.get("axes"), data.get("inputs"), data.get("outputs")]
    if not all(isinstance(group, dict) for group in tensors):
        return False
    if not all(isinstance(item, dict) for group in tensors if group for item in group.values()):
        return False
    return "check" in data or "init" in data or _names_an_api(data)


def _names_an_api(data: Record) -> bool:
    tags = data.get("tags")
    from_api = isinstance(tags, list) and any(str(tag).startswith("fi_api:") for tag in tags)
    reference = data.get("reference")
    if reference is None:
        return from_api
    return isinstance(reference, str) and _reference_function(reference) is not None


def _tensor(spec: Record) -> Record:
    dtype = spec.get("dtype")
    if isinstance(dtype, str) and not _KNOWN_DTYPE.fullmatch(dtype):
        return {**spec, "dtype": "unknown", "api_dtype": dtype}
    return spec


def _axes(axes: Record, tensors: list[Record]) -> Record:
    declared = {
        name: {**axis, "type": "var"}
        if axis.get("type") == "const" and axis.get("value") is None
        else axis
        for name, axis in axes.items()
    }
    for spec in tensors:
        shape = spec.get("shape")
        for axis in shape if isinstance(shape, list) else ():
            declared.setdefault(str(axis), {"type": "var"})
    return declared


def _reference(data: Record, inputs: Record) -> Any:
    source = data.get("reference")
    if source is None:
        return _NO_REFERENCE.format(parameters=_parameters(inputs), name=data.get("name"))
    function = _reference_function(source) if isinstance(source, str) else None
    return source if function is None else source.rstrip() + _run_calling(function, inputs)


def _reference_function(source: str) -> ast.FunctionDef | None:
    """The function to be called `run`; None when there is a `run`, or no such function."""
    try:
        body = ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    functions = [node for node in body if isinstance(node, ast.FunctionDef)]
    if any(function.name == "run" for function in functions):
        return None
    named = [function for function in functions if _REFERENCE_NAME.fullmatch(function.name)]
    return named[-1] if named else None


def _parameters(inputs: Record) -> str:
    if not all(name.isidentifier() for name in inputs):
        return "*inputs"
    names = list(inputs)
    while names and inputs[names[-1]].get("optional"):
        names.pop()
    return ", ".join([*names, *(f"{name}=None" for name in list(inputs)[len(names) :])])


def _run_calling(function: ast.FunctionDef, inputs: Record) -> str:
    """A `run` over the definition's inputs that calls `function` by the names both share."""
    arguments = function.args
    accepted = {arg.arg for arg in (*arguments.args, *arguments.kwonlyargs)}
    shared = [name for name in inputs if name in accepted or arguments.kwarg]
    optional = [name for name in shared if inputs[name].get("optional")]
    template = _RUN_WITH_OPTIONS if optional else _RUN
    return template.format(
        parameters=_parameters(inputs),
        function=function.name,
        optional=", ".join(f'"{name}": {name}' for name in optional),
        arguments=", ".join(f"{name}={name}" for name in shared if name not in optional),
    )
