"""Checks of trace files, and of what a ranking needs."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from flashinfer_bench.data import layout
from flashinfer_bench.data.explain import Problem
from flashinfer_bench.data.index import files_under, parse_lines
from flashinfer_bench.data.trace import Trace
from flashinfer_bench.data.validation.collector import At, Collector

BASELINE_AUTHOR = "baseline"


def check_traces(collector: Collector) -> None:
    """Every file under traces/."""
    authors: dict[str, set[str]] = {}
    for path in files_under(collector.root / "traces", ".jsonl"):
        pairs: set[tuple[str, str]] = set()
        for line, item in parse_lines(path, of_solutions=True):
            if isinstance(item, Problem):
                collector.problem("trace", path.stem, item)
            elif item.solution is not None:
                pairs.add((item.definition, item.solution))
                _check_line(collector, item, item.solution, At(path, line))
        for name, solution in sorted(pairs):
            _check_source(collector, path, name, solution)
            if solution in collector.solutions:
                authors.setdefault(name, set()).add(collector.solutions[solution].author)
    _check_baselines(collector, authors)


def _check_line(collector: Collector, trace: Trace, name: str, at: At) -> None:
    uuid, solution = trace.workload.uuid, collector.solutions.get(name)
    if uuid not in collector.uuids.get(trace.definition, ()):
        message = f"workload {uuid} is not in workloads/; it cannot be run again"
        collector.warn("trace", trace.definition, message, at)
    if solution and trace.solution_digest not in (None, solution.digest()):
        message = f"solution {name!r} has changed since this run; benchmark it again"
        collector.warn("trace", trace.definition, message, at)


def _check_source(collector: Collector, path: Path, name: str, solution_name: str) -> None:
    """What a file's traces of one solution refer to, and where the file lies."""
    at = At(path)
    definition = collector.definitions.get(name)
    solution = collector.solutions.get(solution_name)
    if definition is None:
        message = f"definition {name!r} is not in this dataset; add it or remove the traces"
        collector.error("trace", name, message, at)
    if solution is None:
        message = f"solution {solution_name!r} is not in this dataset; add it or remove the traces"
        collector.error("trace", name, message, at)
    elif solution.definition != name:
        message = f"solution {solution_name!r} implements {solution.definition!r}, not {name!r}"
        collector.error("trace", name, message, at)
    if definition and solution:
        collector.check_place(
            name,
            path,
            partial(layout.trace_file, definition, solution.author),
            partial(layout.old_trace_file, definition),
        )


def _check_baselines(collector: Collector, authors: dict[str, set[str]]) -> None:
    for name, found in sorted(authors.items()):
        if BASELINE_AUTHOR not in found:
            message = f"no traces by author {BASELINE_AUTHOR!r}, so these results are not ranked"
            collector.warn("baseline", name, message)


__all__ = ["check_traces"]
