"""A solution for people."""

from __future__ import annotations

from pathlib import Path

from flashinfer_bench.cli.output import (
    counted,
    pairs,
    print_code,
    print_facts,
    print_heading,
    print_table,
    print_text,
    times,
)
from flashinfer_bench.data import EvaluationStatus, Solution, TraceSet
from flashinfer_bench.data.comparison import newest_verdicts
from flashinfer_bench.data.listing import distinct_length, speedup

_LEXERS = {".py": "python", ".cu": "cuda", ".cuh": "cuda", ".cpp": "cpp", ".h": "cpp"}


def print_solution(trace_set: TraceSet, solution: Solution, *, source: bool) -> None:
    """How it is built and called, its files, and its newest result on every workload."""
    spec = solution.spec
    print_heading(solution.name, f"by {solution.author}", solution.description)
    print_text()
    print_facts(
        {
            "definition": solution.definition + _unless_known(trace_set, solution.definition),
            "language": spec.language,
            "binding": spec.binding,
            "entry point": spec.entry_point,
            "outputs": "the last arguments" if spec.destination_passing_style else "returned",
            "hardware": ", ".join(spec.target_hardware),
            "dependencies": ", ".join(spec.dependencies) or None,
            "hash": solution.hash()[:8],
        }
    )
    print_text()
    rows = [(file.path, len(file.content.splitlines())) for file in solution.sources]
    print_table(("file", "lines"), rows)
    for file in solution.sources if source else ():
        print_text(f"\n── {file.path}", style="bold")
        print_code(file.content, _LEXERS.get(Path(file.path).suffix, "text"))
    print_text()
    _print_results(trace_set, solution)


def _print_results(trace_set: TraceSet, solution: Solution) -> None:
    verdicts = newest_verdicts(trace_set.rows("traces", solution.definition)).values()
    results = [row for row in verdicts if row.solution == solution.name]
    workloads = trace_set.workloads.get(solution.definition, [])
    axes = {trace.workload.uuid: pairs(trace.workload.axes) for trace in workloads}
    length = distinct_length(row.workload for row in results)
    passed = sum(row.status == EvaluationStatus.PASSED.value for row in results)
    tried = len({row.workload for row in results})
    print_text(
        f"{counted(len(results), 'newest result')}, {passed} passed; "
        f"{tried} of {counted(len(axes), 'workload')} tried"
    )
    if results:
        print_text()
        print_table(
            ("workload", "axes", "hardware", "status", "latency_ms", "speedup"),
            [
                (
                    row.workload[:length],
                    axes.get(row.workload),
                    row.hardware,
                    row.status,
                    row.latency_ms,
                    times(speedup(row)),
                )
                for row in sorted(results, key=lambda row: row.hardware or "")
            ],
            optional=("axes",),
        )


def _unless_known(trace_set: TraceSet, definition: str) -> str:
    return "" if definition in trace_set.definitions else " (missing)"
