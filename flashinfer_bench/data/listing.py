"""Rows for listings: a JSON-ready dict for each definition, solution, workload, trace, model."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from flashinfer_bench.data.index import Row

if TYPE_CHECKING:
    from flashinfer_bench.data.trace_set import TraceSet

Listed = dict[str, Any]


def list_definitions(trace_set: TraceSet, names: Iterable[str]) -> list[Listed]:
    """Definitions with their constant axes and how much there is of each."""
    return [
        {
            "name": name,
            "op_type": definition.op_type,
            "axes": definition.const_axes,
            "workloads": len(trace_set.rows("workloads", name)),
            "solutions": len(trace_set.solutions.get(name, [])),
            "traces": len(trace_set.rows("traces", name)),
            "status": tagged(definition.tags, "status"),
        }
        for name in sorted(names, key=natural)
        if (definition := trace_set.definitions.get(name))
    ]


def list_solutions(trace_set: TraceSet, names: Iterable[str]) -> list[Listed]:
    """Solutions of these definitions."""
    return [
        {
            "name": solution.name,
            "definition": name,
            "author": solution.author,
            "language": solution.spec.language.value,
        }
        for name in sorted(names, key=natural)
        for solution in sorted(trace_set.solutions.get(name, []), key=lambda it: natural(it.name))
    ]


def list_workloads(trace_set: TraceSet, names: Iterable[str]) -> list[Listed]:
    """Workloads of these definitions, with how many inputs come from where."""
    return [
        {
            "uuid": workload.uuid,
            "definition": name,
            "axes": workload.axes,
            "inputs": dict(Counter(spec.type for spec in workload.inputs.values())),
            "weight": workload.weight,
        }
        for name in sorted(names, key=natural)
        for workload in (trace.workload for trace in trace_set.workloads.get(name, []))
    ]


def list_traces(trace_set: TraceSet, names: Iterable[str]) -> list[Listed]:
    """Evaluations of these definitions, in the order of their files."""
    return [
        {
            "definition": name,
            "solution": row.solution,
            "status": row.status,
            "latency_ms": row.latency_ms,
            "speedup": speedup(row),
            "hardware": row.hardware,
            "timestamp": row.timestamp,
            "workload": row.workload,
        }
        for name in sorted(names, key=natural)
        for row in trace_set.rows("traces", name)
    ]


def list_models(trace_set: TraceSet, names: Iterable[str] | None = None) -> list[Listed]:
    """Models, only those that call one of these definitions where `names` are given."""
    wanted = None if names is None else set(names)
    rows = []
    for model in sorted(trace_set.models.values(), key=lambda model: natural(model.id)):
        called = model.definitions()
        if wanted is None or wanted.intersection(called):
            row = {
                "id": model.id,
                "name": model.name,
                "modules": len(model.modules),
                "definitions": len(called),
                "in_dataset": sum(name in trace_set.definitions for name in called),
            }
            rows.append(row)
    return rows


def speedup(row: Row) -> float | None:
    """Reference latency / latency, where both were measured."""
    if not row.latency_ms or not row.reference_latency_ms:
        return None
    return row.reference_latency_ms / row.latency_ms


def distinct_length(uuids: Iterable[str]) -> int:
    """How many leading characters tell these uuids apart; at least 8, ending before a dash."""
    distinct = set(uuids)
    longest = max(map(len, distinct), default=0)
    cuts = (length for length in (8, 13, 18, 23) if length < longest)
    return next((n for n in cuts if len({uuid[:n] for uuid in distinct}) == len(distinct)), longest)


def workload_uuids(trace_set: TraceSet, name: str) -> set[str]:
    """Uuids of a definition's workloads, those that only traces know included."""
    rows = [*trace_set.rows("workloads", name), *trace_set.rows("traces", name)]
    return {row.workload for row in rows}


def tagged(tags: Iterable[str], namespace: str) -> str | None:
    """Value of the first `namespace:value` tag."""
    prefix = f"{namespace}:"
    return next((tag.removeprefix(prefix) for tag in tags if tag.startswith(prefix)), None)


def natural(name: str) -> list[tuple[int, str]]:
    """Sort key that puts `n128` before `n1024`."""
    parts = re.split(r"(\d+)", name)
    return [(len(part) if i % 2 else 0, part) for i, part in enumerate(parts)]


__all__ = [
    "Listed",
    "distinct_length",
    "list_definitions",
    "list_models",
    "list_solutions",
    "list_traces",
    "list_workloads",
    "natural",
    "speedup",
    "tagged",
    "workload_uuids",
]
