"""A definition for people."""

from __future__ import annotations

from collections.abc import Mapping

from flashinfer_bench.cli import standings
from flashinfer_bench.cli.output import counted, print_code, print_heading, print_table, print_text
from flashinfer_bench.data import Definition, TensorSpec, TraceSet
from flashinfer_bench.data.comparison import REFERENCE
from flashinfer_bench.data.ranking import PINNED_P
from flashinfer_bench.data.summarizing import Ranking, rank_all

MOST_SHOWN = 5


def print_definition(trace_set: TraceSet, definition: Definition) -> None:
    """Its interface, its reference, how much there is of it, and who is best."""
    print_heading(definition.name, definition.op_type, definition.description)
    rows = [
        (name, axis.value if axis.type == "const" else "var", axis.description)
        for name, axis in definition.axes.items()
    ]
    print_text()
    print_table(("axis", "length", "description"), rows)
    print_text()
    _print_tensors("input", definition.inputs)
    print_text()
    _print_tensors("output", definition.outputs)
    _print_list("constraints", definition.constraints)
    _print_list("tags", definition.tags)
    print_text("\nreference", style="bold")
    print_code(definition.reference, "python")
    print_text()
    _print_counts(trace_set, definition.name)
    _print_best(trace_set, definition.name)


def _print_tensors(kind: str, tensors: Mapping[str, TensorSpec]) -> None:
    rows = [
        (
            name,
            "scalar" if spec.shape is None else f"[{', '.join(spec.shape)}]",
            f"{spec.dtype} (optional)" if spec.optional else spec.dtype,
            spec.description,
        )
        for name, spec in tensors.items()
    ]
    print_table((kind, "shape", "dtype", "description"), rows)


def _print_list(title: str, lines: list[str]) -> None:
    if lines:
        print_text(f"\n{title}", style="bold")
        for line in lines:
            print_text(f"  {line}")


def _print_counts(trace_set: TraceSet, name: str) -> None:
    parts = (
        counted(len(trace_set.rows("workloads", name)), "workload"),
        counted(len(trace_set.solutions.get(name, [])), "solution"),
        counted(len(trace_set.rows("traces", name)), "trace"),
    )
    print_text(", ".join(parts))


def _print_best(trace_set: TraceSet, name: str) -> None:
    """The best solutions on each hardware; against the reference where there is no baseline."""
    for baseline in (standings.DEFAULT_BASELINE, REFERENCE):
        rankings = rank_all(trace_set, [name], baseline, by="solution")
        ranked = [ranking for ranking in rankings if ranking.standings]
        for ranking in ranked:
            print_text()
            _print_ranking(trace_set, ranking, baseline)
        if ranked:
            return


def _print_ranking(trace_set: TraceSet, ranking: Ranking, baseline: str) -> None:
    rows = []
    for standing in ranking.standings[:MOST_SHOWN]:
        solution = trace_set.get_solution(standing.name)
        author = solution.author if solution else None
        rows.append((standing.name, author, *standings.numbers(standing, PINNED_P)))
    title = standings.against(ranking, baseline)
    more = len(ranking.standings) - len(rows)
    print_table(
        ("solution", "author", *standings.columns(PINNED_P)),
        rows,
        f"{title}: the best {len(rows)} of {len(ranking.standings)}" if more else title,
        optional=(*standings.LEFT_OUT_FIRST, "score", "author"),
    )
