"""The newest verdicts of a dataset as flat rows, for spreadsheets and data frames."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from pydantic_core import to_json

from flashinfer_bench.collector import paused_gc
from flashinfer_bench.data.comparison import baseline_latencies, newest_verdicts
from flashinfer_bench.data.index import Row
from flashinfer_bench.data.solution import Solution
from flashinfer_bench.data.trace import Trace
from flashinfer_bench.data.trace_set import TraceSet


class ExportRow(NamedTuple):
    """The newest verdict on one solution, workload and hardware; its log is left out."""

    definition: str
    op_type: str | None
    axes: dict[str, int]
    """Lengths of the variable axes."""
    workload: str
    """The workload's uuid."""
    solution: str
    author: str | None
    """None, as the language, where the dataset lacks the solution."""
    language: str | None
    hardware: str
    status: str
    latency_ms: float | None
    reference_latency_ms: float | None
    baseline_latency_ms: float | None
    """Latency of the baseline's best in the same case."""
    ratio: float | None
    """Baseline latency / latency; 0 for a failure, None without a baseline."""
    max_absolute_error: float | None
    max_relative_error: float | None
    timestamp: str


def export_rows(
    trace_set: TraceSet, names: Iterable[str], baseline_author: str = "baseline"
) -> Iterator[ExportRow]:
    """Rows of these definitions, in the order of their traces."""
    solutions = {item.name: item for group in trace_set.solutions.values() for item in group}
    authors = {name: solution.author for name, solution in solutions.items()}
    for name in names:
        definition = trace_set.definitions.get(name)
        with paused_gc():
            traces = {Row.of(trace): trace for trace in trace_set.traces.get(name, [])}
        verdicts = newest_verdicts(traces)
        baselines = baseline_latencies(verdicts, authors, baseline_author)
        for (solution, case), row in verdicts.items():
            yield _row(
                traces[row],
                definition.op_type if definition else None,
                solutions.get(solution),
                baselines.get(case),
            )


def _row(
    trace: Trace, op_type: str | None, solution: Solution | None, baseline: float | None
) -> ExportRow:
    evaluation = trace.evaluation
    assert trace.solution is not None and evaluation is not None
    performance, correctness = evaluation.performance, evaluation.correctness
    latency = performance.latency_ms if performance else None
    return ExportRow(
        definition=trace.definition,
        op_type=op_type,
        axes=trace.workload.axes,
        workload=trace.workload.uuid,
        solution=trace.solution,
        author=solution.author if solution else None,
        language=solution.spec.language.value if solution else None,
        hardware=evaluation.environment.hardware,
        status=evaluation.status.value,
        latency_ms=latency,
        reference_latency_ms=performance.reference_latency_ms if performance else None,
        baseline_latency_ms=baseline,
        ratio=None if baseline is None else baseline / latency if latency else 0.0,
        max_absolute_error=correctness.max_absolute_error if correctness else None,
        max_relative_error=correctness.max_relative_error if correctness else None,
        timestamp=evaluation.timestamp,
    )


def to_csv(rows: Iterable[ExportRow]) -> str:
    """Comma-separated values with a header; axes are JSON, what is unknown is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(ExportRow._fields)
    for row in rows:
        writer.writerow({**row._asdict(), "axes": _json(row.axes)}.values())
    return text.getvalue()


def to_jsonl(rows: Iterable[ExportRow]) -> str:
    """One JSON object a line; infinities and NaN are strings."""
    return "".join(f"{_json(row._asdict())}\n" for row in rows)


def to_json_array(rows: Iterable[ExportRow]) -> str:
    """One JSON array, an object a line."""
    lines = ",\n".join(_json(row._asdict()) for row in rows)
    return f"[\n{lines}\n]\n" if lines else "[]\n"


def _json(value: Mapping[str, Any]) -> str:
    return to_json(value, inf_nan_mode="strings").decode()


FORMS = {".csv": to_csv, ".jsonl": to_jsonl, ".json": to_json_array}
"""File suffix -> what writes such a file."""

__all__ = ["FORMS", "ExportRow", "export_rows", "to_csv", "to_json_array", "to_jsonl"]
