"""From calls to workloads: the bindings of the operations say which definition a call is.

Structure (offsets, page tables, lengths) is kept as it was, numbers keep their type, and
activations become random values with a seed: their content is a user's, and kernels do not depend
on it. What is no workload is told with the reason.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from flashinfer_bench.data.checking import violations
from flashinfer_bench.data.definition import Definition
from flashinfer_bench.data.layout import blob_file
from flashinfer_bench.data.workload import (
    InputSpec,
    RandomInput,
    SafetensorsInput,
    ScalarInput,
    Workload,
)
from flashinfer_bench.ops.binding import Binding, Bound, Call, Refused
from flashinfer_bench.ops.contract import Operation
from flashinfer_bench.ops.emit import emit
from flashinfer_bench.ops.registry import operations
from flashinfer_bench.workloads.dump_reader import DumpProblem
from flashinfer_bench.workloads.served_calls import ServedCall

_STRUCTURE = ("torch.int32", "torch.int64", "torch.uint8", "torch.bool", "torch.int8")


@dataclass(frozen=True)
class Kept:
    """A workload, and the tensors of its blob."""

    definition: Definition
    workload: Workload
    tensors: Mapping[str, Any] = field(default_factory=dict)
    place: str = ""


@dataclass(frozen=True)
class Dropped:
    """A call that is no workload, and why."""

    api: str
    place: str
    reason: str


def sanitized(
    calls: Iterable[ServedCall | DumpProblem], *, unfinished: bool = False
) -> Iterator[Kept | Dropped]:
    """A workload or a reason for each call. With `unfinished`, calls that did not return count, as
    on a machine without a GPU."""
    for it in calls:
        if isinstance(it, DumpProblem):
            yield Dropped("", it.place, it.reason)
        elif not it.dumped.completed and not unfinished:
            yield Dropped(it.call.api, it.dumped.place, "the call did not complete")
        else:
            yield _sanitized(it)


def _sanitized(it: ServedCall) -> Kept | Dropped:
    try:
        found = recognised(it.call)
        if found is None:
            return Dropped(it.call.api, it.dumped.place, "no operation is called by it")
        operation, bound = found
        definition = _definition(operation.kind, tuple(sorted(bound.constants.items())))
        kept = workload_of(definition, bound, it.dumped.place, source="dump")
        versions = {name: it.dumped.versions.get(name) for name in ("flashinfer", "torch")}
        recorded = {"recorded_with": versions} if any(versions.values()) else {}
        return replace(kept, workload=kept.workload.model_copy(update=recorded))
    except Refused as refusal:
        return Dropped(it.call.api, it.dumped.place, str(refusal))


def recognised(call: Call) -> tuple[Operation, Bound] | None:
    """The operation that a call is; None where its API is of none. Raises Refused."""
    refusals = []
    for operation in _by_api().get(call.api, ()):
        assert isinstance(operation.binding, Binding)
        try:
            return operation, operation.binding.bind(call)
        except Refused as refusal:
            refusals.append(str(refusal))
    if refusals:
        raise Refused("; ".join(dict.fromkeys(refusals)))
    return None


@lru_cache(maxsize=1)
def _by_api() -> dict[str, list[Operation]]:
    found: dict[str, list[Operation]] = {}
    for operation in operations():
        for api in operation.binding.apis if isinstance(operation.binding, Binding) else ():
            found.setdefault(api, []).append(operation)
    return found


@lru_cache(maxsize=1024)
def _definition(kind: str, constants: tuple[tuple[str, int], ...]) -> Definition:
    operation = next(it for it in operations() if it.kind == kind)
    return emit(operation, dict(constants))


def workload_of(definition: Definition, bound: Bound, place: str, *, source: str) -> Kept:
    """Structure is kept, numbers are stated, and the rest is drawn; Refused where it does not fit.

    `source` says where the call comes from: `dump`, `simulated` or `derived`.
    """
    kept = {name: it for name, it in bound.inputs.items() if _is_structure(it)}
    lost = [name for name, it in kept.items() if getattr(it, "is_meta", False)]
    if lost:
        raise Refused(f"the dump holds no values of {', '.join(lost)}")
    wrong = violations(definition, bound.inputs)
    if wrong:
        raise Refused(f"{definition.name}: {'; '.join(wrong[:3])}")
    tensors = {name: it.contiguous() for name, it in kept.items()}
    axes = _axes(definition, bound.inputs)
    scalars = {name: it for name, it in bound.inputs.items() if not hasattr(it, "shape")}
    uuid = _identity(definition, axes, tensors, scalars)
    path = str(blob_file(definition, uuid))
    inputs: dict[str, InputSpec] = {}
    for name in definition.inputs:
        if name in tensors:
            inputs[name] = SafetensorsInput(path=path, tensor_key=name)
        elif name in scalars:
            inputs[name] = ScalarInput(value=scalars[name])
        elif name in bound.inputs:
            inputs[name] = RandomInput()
    seed = int(uuid[:8], 16) if any(it.type == "random" for it in inputs.values()) else None
    workload = Workload(axes=axes, inputs=inputs, uuid=uuid, seed=seed, weight=1.0)
    workload = workload.model_copy(update={"source": source})
    return Kept(definition, workload, tensors, place)


def _is_structure(value: Any) -> bool:
    return hasattr(value, "shape") and str(value.dtype) in _STRUCTURE


def _axes(definition: Definition, inputs: Mapping[str, Any]) -> dict[str, int]:
    """Lengths of the variable axes, by the shapes."""
    found: dict[str, int] = {}
    for name, spec in definition.inputs.items():
        value = inputs.get(name)
        for axis, length in zip(spec.shape or (), getattr(value, "shape", ())):
            if axis in definition.axes and definition.axes[axis].type == "var":
                found[axis] = int(length)
    return found


def _identity(
    definition: Definition,
    axes: Mapping[str, int],
    tensors: Mapping[str, Any],
    scalars: Mapping[str, Any],
) -> str:
    """The same for the same call, wherever and whenever it was made; in the form of a UUID."""
    digest = hashlib.sha256(repr((definition.name, sorted(axes.items()))).encode())
    digest.update(repr(sorted(scalars.items())).encode())
    for name, it in sorted(tensors.items()):
        digest.update(f"{name} {it.dtype} {tuple(it.shape)}".encode())
        digest.update(it.cpu().numpy().tobytes())
    text = digest.hexdigest()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:32]))


__all__ = ["Dropped", "Kept", "recognised", "sanitized", "workload_of"]
