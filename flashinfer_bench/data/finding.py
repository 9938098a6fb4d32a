"""Finding what a person named: a definition, solution, model or workload, and near misses."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from difflib import get_close_matches

from flashinfer_bench.data.definition import Definition
from flashinfer_bench.data.model import Model
from flashinfer_bench.data.solution import Solution
from flashinfer_bench.data.trace import Trace
from flashinfer_bench.data.trace_set import TraceSet
from flashinfer_bench.errors import NotFoundError, UsageError

Record = Definition | Solution | Model | Trace
"""A Trace stands for a workload."""

SHORTEST_PREFIX = 6


def find(trace_set: TraceSet, name: str) -> list[Record]:
    """All records that `name` may mean, one of each kind at most.

    A workload is named by its uuid, by the start of it (6 characters or more) when that is unique,
    or by `DEFINITION/UUID`. Raises NotFoundError with the nearest names, UsageError listing the
    candidates for an ambiguous uuid.
    """
    named = (
        trace_set.definitions.get(name),
        trace_set.get_solution(name),
        trace_set.models.get(name),
        _find_workload(trace_set, name, str.__eq__),
    )
    found = [record for record in named if record is not None]
    if not found and len(name) >= SHORTEST_PREFIX:
        workload = _find_workload(trace_set, name, str.startswith)
        found = [] if workload is None else [workload]
    if not found:
        solutions = (solution.name for group in trace_set.solutions.values() for solution in group)
        known = [*trace_set.definitions, *solutions, *trace_set.models]
        raise not_found("definition, solution, model or workload", name, known)
    return found


def select(
    trace_set: TraceSet, op_type: str | None = None, definition: str | None = None
) -> list[str]:
    """Names of the definitions of that op_type and name, those that are only mentioned included.

    Raises NotFoundError when the op_type or the name is nowhere in the dataset.
    """
    op_types = {name: item.op_type for name, item in trace_set.definitions.items()}
    mentioned = [*trace_set.solutions, *trace_set.workloads, *trace_set.traces]
    names = list(dict.fromkeys([*op_types, *mentioned]))
    if definition is not None and definition not in names:
        raise not_found("definition", definition, names)
    if op_type is not None and op_type not in op_types.values():
        raise not_found("op_type", op_type, op_types.values())
    return [
        name
        for name in names
        if definition in (None, name) and op_type in (None, op_types.get(name))
    ]


def not_found(kind: str, name: str, known: Iterable[str]) -> NotFoundError:
    """The error for a name that is nowhere, with the known ones most like it."""
    names = sorted(set(known))
    close = get_close_matches(name, names, n=3, cutoff=0.5)
    close = close or [known for known in names if name.lower() in known.lower()][:3]
    hint = f"did you mean {', '.join(close)}?" if close else "`flashinfer-bench list` shows all"
    return NotFoundError(f"no {kind} {name!r} in this dataset; {hint}")


def _find_workload(
    trace_set: TraceSet, name: str, matches: Callable[[str, str], bool]
) -> Trace | None:
    definition, slash, uuid = name.rpartition("/")
    places = _places(trace_set, [definition] if slash else None)
    candidates = [place for place in places if matches(place[1], uuid)]
    if len(candidates) > 1:
        listed = ", ".join("/".join(place) for place in candidates[:5])
        more = f" and {len(candidates) - 5} more" if len(candidates) > 5 else ""
        raise UsageError(f"{name!r} may be {len(candidates)} workloads, name one: {listed}{more}")
    return _read_workload(trace_set, *candidates[0]) if candidates else None


def _places(trace_set: TraceSet, definitions: list[str] | None) -> list[tuple[str, str]]:
    """(definition, uuid) of every workload, those that only traces know included."""
    names = definitions or [*trace_set.workloads, *trace_set.traces]
    rows = [
        row
        for name in dict.fromkeys(names)
        for row in (*trace_set.rows("workloads", name), *trace_set.rows("traces", name))
    ]
    return list(dict.fromkeys((row.definition, row.workload) for row in rows))


def _read_workload(trace_set: TraceSet, definition: str, uuid: str) -> Trace:
    for group in (trace_set.workloads, trace_set.traces):
        for trace in group.get(definition, []):
            if trace.workload.uuid == uuid:
                known = trace.is_workload_trace()
                return trace if known else Trace(definition=definition, workload=trace.workload)
    raise NotFoundError(f"workload {uuid} of {definition!r} has just been removed; try again")


__all__ = ["Record", "find", "not_found", "select"]
