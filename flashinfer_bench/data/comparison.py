"""Solutions against the baseline: same definition, workload and hardware, newest verdicts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from typing import NamedTuple

from pydantic import TypeAdapter, ValidationError

from flashinfer_bench.data.index import Row
from flashinfer_bench.data.trace import Blame, EvaluationStatus

REFERENCE = "reference"
"""Named as baseline author, compares with the latency of each Definition's own reference."""
_PASSED = EvaluationStatus.PASSED.value
_DATETIME = TypeAdapter(datetime)
_OWN_FAULT = (None, Blame.SOLUTION.value)

Case = tuple[str, str]
"""(workload uuid, hardware)."""


class Comparison(NamedTuple):
    """One solution on one workload and hardware, against the baseline."""

    definition: str
    case: Case
    solution: str
    author: str
    passed: bool
    """Passed with a latency above zero; a zero latency is a fault of the measurement."""
    ratio: float | None
    """Baseline latency divided by the solution's; 0 for a failure, None without a baseline."""


def compare(
    rows: Iterable[Row], authors: Mapping[str, str], baseline_author: str
) -> list[Comparison]:
    """The newest verdicts on one definition, next to the baseline.

    `authors` is solution -> author; traces of other solutions are left out. Faults that are not
    the solution's own do not count.
    """
    verdicts = newest_verdicts(rows)
    baselines = baseline_latencies(verdicts, authors, baseline_author)
    comparisons = []
    for (solution, case), row in verdicts.items():
        author = authors.get(solution)
        if author is None:
            continue
        latency, baseline = row.latency_ms if row.status == _PASSED else None, baselines.get(case)
        ratio = None if baseline is None else baseline / latency if latency else 0.0
        item = Comparison(row.definition, case, solution, author, bool(latency), ratio)
        comparisons.append(item)
    return comparisons


def newest_verdicts(rows: Iterable[Row]) -> dict[tuple[str, Case], Row]:
    """The last verdict on each (solution, case)."""
    newest: dict[tuple[str, Case], Row] = {}
    for row in rows:
        _, workload, solution, hardware, _, blame, *_ = row
        if solution is None or hardware is None or blame not in _OWN_FAULT:
            continue
        key = (solution, (workload, hardware))
        if key not in newest or _time(row) >= _time(newest[key]):
            newest[key] = row
    return newest


def baseline_latencies(
    verdicts: Mapping[tuple[str, Case], Row], authors: Mapping[str, str], baseline_author: str
) -> dict[Case, float]:
    """Latency to beat in each case, in ms: the best of the baseline author's that passed."""
    latencies: dict[Case, float] = {}
    for (solution, case), row in verdicts.items():
        if baseline_author == REFERENCE:
            latency = row.reference_latency_ms
        elif row.status == _PASSED and authors.get(solution) == baseline_author:
            latency = row.latency_ms
        else:
            continue
        if latency:
            latencies[case] = min(latency, latencies.get(case, latency))
    return latencies


def _time(row: Row) -> float:
    """Seconds since 1970; a time without zone is in UTC, what is no time is before all others."""
    try:
        time = _DATETIME.validate_strings(row.timestamp)
    except ValidationError:
        return float("-inf")
    return (time if time.tzinfo else time.replace(tzinfo=timezone.utc)).timestamp()


__all__ = [
    "REFERENCE",
    "Case",
    "Comparison",
    "baseline_latencies",
    "compare",
    "newest_verdicts",
]
