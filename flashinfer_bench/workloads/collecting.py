"""From a dump to the workloads of a dataset, with an account of every call."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from flashinfer_bench.data.definition import Definition
from flashinfer_bench.models.tree import ModuleNode
from flashinfer_bench.workloads.dump_reader import DumpedCall, read_dump
from flashinfer_bench.workloads.sanitizer import Dropped, Kept, sanitized
from flashinfer_bench.workloads.selection import MOST, merged, selected
from flashinfer_bench.workloads.served_calls import served_calls


@dataclass
class Collected:
    """What a dump gave."""

    workloads: dict[str, list[Kept]] = field(default_factory=dict)
    """Definition -> those selected."""
    calls: Counter[str] = field(default_factory=Counter)
    """Definition -> calls seen; their workloads' weights sum to it."""
    distinct: Counter[str] = field(default_factory=Counter)
    """Definition -> calls that differ."""
    dropped: Counter[tuple[str, str]] = field(default_factory=Counter)
    """API and reason -> calls that are no workload."""


def collect(
    root: Path,
    *,
    wanted: Callable[[Definition], bool] = lambda _: True,
    model: ModuleNode | None = None,
    most: int = MOST,
) -> Collected:
    """Workloads of a dump, of the definitions that are wanted.

    `model` is a tree of the model that was served, whose layers know what the dump does not hold.
    Raises NotFoundError where the folder holds no dump.
    """
    found = Collected()
    calls = sanitized(
        served_calls(root, read_dump(root), model), unfinished=not _any_completed(root)
    )
    for name, same in sorted(merged(_wanted(calls, wanted, found)).items()):
        found.distinct[name] = len(same)
        found.workloads[name] = selected(same, most)
    return found


def _wanted(
    calls: Iterable[Kept | Dropped], wanted: Callable[[Definition], bool], found: Collected
) -> Iterator[Kept]:
    """Those of the definitions asked for; all calls are counted."""
    for it in calls:
        if isinstance(it, Dropped):
            found.dropped[it.api, it.reason] += 1
        elif not wanted(it.definition):
            found.dropped[it.definition.name, "not asked for"] += 1
        else:
            found.calls[it.definition.name] += 1
            yield it


def _any_completed(root: Path) -> bool:
    """Whether this is of a machine on which calls return: without a GPU none does."""
    return any(isinstance(it, DumpedCall) and _computes(it) for it in read_dump(root))


def _computes(it: DumpedCall) -> bool:
    return it.completed and it.method not in ("__init__", "plan")


__all__ = ["Collected", "collect"]
