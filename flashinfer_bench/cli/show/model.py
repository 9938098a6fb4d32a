"""A model for people."""

from __future__ import annotations

from collections.abc import Iterator

from flashinfer_bench.cli.output import counted, print_heading, print_table, print_text
from flashinfer_bench.data import Model, TraceSet


def print_model(trace_set: TraceSet, model: Model) -> None:
    """Its tree of modules, each with the definitions it calls."""
    print_heading(model.id, model.name, model.description)
    called = model.definitions()
    known = [name for name in called if name in trace_set.definitions]
    print_text(
        f"{counted(len(model.modules), 'module')}, {counted(len(called), 'definition')}, "
        f"{len(known)} of them in this dataset"
    )
    print_text()
    rows = []
    for branch, key in _tree(model):
        module = model.modules[key]
        definitions = [
            name if name in trace_set.definitions else f"{name} (missing)"
            for name in module.definitions or ()
        ]
        name = f"{branch}{model.label(key)}"
        rows.append((name, f"×{module.count}", module.type, ", ".join(definitions)))
    print_table(("module", "count", "type", "definitions"), rows)


def _tree(model: Model, key: str | None = None, indent: str = "") -> Iterator[tuple[str, str]]:
    """(branch drawn before the name, key) of every module, parents before children."""
    children = model.children(key)
    for child in children:
        last = child == children[-1]
        top = key is None
        yield "" if top else f"{indent}{'└─ ' if last else '├─ '}", child
        yield from _tree(model, child, "" if top else f"{indent}{'   ' if last else '│  '}")
