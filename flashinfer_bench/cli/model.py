"""`flashinfer-bench model NAME`: the module tree that SGLang would build of a model."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from flashinfer_bench.cli.options import (
    add_dataset,
    add_output,
    add_serving,
    check_is_dataset,
    serving_options,
)
from flashinfer_bench.cli.output import print_json, print_table
from flashinfer_bench.collector import paused_gc
from flashinfer_bench.errors import ExitCode, NotFoundError

if TYPE_CHECKING:
    from flashinfer_bench.models.extraction import ExtractedModel
    from flashinfer_bench.models.tree import ModuleNode

_SHOWN = (
    *("tp_q_head_num", "tp_k_head_num", "qk_head_dim", "v_head_dim", "sliding_window_size"),
    *("num_experts", "num_local_experts", "top_k", "rotary_dim", "num_k_heads", "num_v_heads"),
)
"""Facts of layers without weights of their own that the tree shows."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's flags."""
    parser.add_argument(
        "name", help="repository id, short name such as kimi-k2, or path of a config.json"
    )
    parser.add_argument("--revision", help="branch, tag or commit of the repository")
    parser.add_argument("--offline", action="store_true", default=None, help="ask no network")
    parser.add_argument("--sglang-path", metavar="PATH", help="checkout, unpacked wheel or wheel")
    parser.add_argument(
        "--transformers-path", metavar="PATH", help="the same of transformers, for its configs"
    )
    parser.add_argument("--architecture", metavar="CLASS", help="instead of the config's own")
    parser.add_argument(
        "--definitions", action="store_true", help="list what its layers compute, by definition"
    )
    parser.add_argument(
        "--kernels", action="store_true", help="list the kernels that its modules reach in SGLang"
    )
    parser.add_argument(
        "--output", metavar="FOLDER", help="write all of it there, as JSON files, and list them"
    )
    add_dataset(parser)
    add_serving(parser)
    add_output(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the tree; what a reader should know goes to stderr."""
    from flashinfer_bench.models.as_json import model_as_json
    from flashinfer_bench.models.extraction import extract_model

    with paused_gc():
        model = extract_model(
            options.name,
            sglang_path=options.sglang_path,
            transformers_path=options.transformers_path,
            revision=options.revision,
            offline=options.offline,
            architecture=options.architecture,
            **serving_options(options),
        )
        if options.output:
            return _write(model, _existing(options.local), Path(options.output))
        if options.kernels:
            return _kernels(model, options.format)
        if options.definitions:
            return _definitions(model, _existing(options.local), options.format)
        if options.format == "json":
            print_json(model_as_json(model))
        else:
            _print(model)
    return ExitCode.OK


def _kernels(model: ExtractedModel, form: str) -> int:
    from flashinfer_bench.models.as_json import implementation_as_json
    from flashinfer_bench.models.definitions.mapping import without_places
    from flashinfer_bench.models.extraction import calls_of

    calls = calls_of(model)
    if form == "json":
        print_json(implementation_as_json(model, calls))
        return ExitCode.OK
    _tell(model.notes)
    rows = [
        [without_places(it.module), it.kernel, it.mode, str(it.place), it.condition or "always"]
        for it in calls
    ]
    print_table(["module", "kernel", "mode", "place", "when"], rows, optional=("when",))
    if model.tree.source is None:
        _tell(["no kernels: the tree does not come from SGLang's source"])
    return ExitCode.OK


def _write(model: ExtractedModel, existing: Collection[str], folder: Path) -> int:
    """The files that the skills write, in one folder."""
    from flashinfer_bench.models.extraction import map_model
    from flashinfer_bench.skills.extract_hf import FILES, write_extraction
    from flashinfer_bench.skills.find_sglang_baseline import write_implementation
    from flashinfer_bench.skills.writing import Writer

    writer = Writer()
    paths = {name: folder / name for name in FILES}
    write_extraction(writer, model, map_model(model, existing), paths)
    if model.tree.source is not None:
        write_implementation(writer, model, folder, [model.tree.architecture])
    _tell(model.notes)
    for it in writer.outputs:
        print(it.path)
    return ExitCode.OK


def _existing(datasets: list[str]) -> Collection[str]:
    """Names of definitions that the datasets hold: those named, else the default one if there."""
    from flashinfer_bench.data.layout import definition_names
    from flashinfer_bench.env import dataset_path

    folders = [Path(it) for it in datasets]
    for folder in folders:
        if not folder.is_dir():
            raise NotFoundError(f"{folder}: no such folder; give the folder of a dataset")
        check_is_dataset(folder)
    return set().union(*(definition_names(it) for it in folders or [dataset_path()]))


def _definitions(model: ExtractedModel, existing: Collection[str], form: str) -> int:
    """A row for each definition, missing ones with advice, then the gaps."""
    from flashinfer_bench.models.as_json import layers_as_json
    from flashinfer_bench.models.definitions.mapping import gaps_of, without_places
    from flashinfer_bench.models.definitions.nearest import advise
    from flashinfer_bench.models.extraction import map_model

    layers = map_model(model, existing)
    found = [(it, layer) for layer in layers for it in layer.definitions]
    missing = {it.name: it.op_type for it, _ in found if it.status == "new"}
    advice = [advise(name, op_type, existing) for name, op_type in missing.items()]
    if form == "json":
        found_in = {"layers": layers_as_json(layers), "missing": [vars(it) for it in advice]}
        print_json({"model_id": model.hub.model_id, **found_in})
        return ExitCode.OK
    rows = list(
        dict.fromkeys(
            (it.name, it.status, it.when, without_places(layer.path)) for it, layer in found
        )
    )
    print_table(["definition", "status", "when", "module"], [list(row) for row in rows])
    _tell(model.notes)
    _tell(f"no operation yet: {gap}: {', '.join(names)}" for gap, names in gaps_of(layers).items())
    near = [it for it in advice if it.nearest]
    _tell(
        f"new: {it.missing}; nearest is {it.nearest} ({', '.join(it.differences)})" for it in near
    )
    _tell(f"write a new one: {it.command}" for it in advice[:1])
    return ExitCode.OK


def _tell(lines: Iterable[str]) -> None:
    for line in lines:
        print(line, file=sys.stderr)


def _print(model: ExtractedModel) -> None:
    from flashinfer_bench.models.as_json import doubts_of

    _tell(model.notes)
    _tell(doubts_of(model))
    _tell(
        f"like {it.model_id} ({it.score:.2f}): {'; '.join(it.differences)}" for it in model.closest
    )
    root = model.tree.root
    print(f"{model.hub.model_id}: {model.tree.architecture.name}")
    print(
        f"{root.parameters:,} parameters and {model.weight_bytes / 1e9:.1f} GB a rank; "
        f"{root.flops_per_token / 1e9:.2f} GFLOP a token, "
        f"{root.flops_per_token_and_key / 1e3:.1f} kFLOP a token and key"
    )
    for child in (*root.children, *model.tree.outside):
        _print_node(child, 1)


def _print_node(node: ModuleNode, depth: int, parent_count: int = 1) -> None:
    times = f" x {node.count // parent_count}" if node.count != parent_count else ""
    name = f"{_span(node.items)}" if node.items else node.name
    sizes = ", ".join(f"{it.name} {list(it.shape or ())}" for it in node.weights)
    facts = ", ".join(f"{key} {node.facts[key]}" for key in _SHOWN if key in node.facts)
    shared = " (shared)" if node.shared else ""
    what = "  ".join(part for part in (sizes, facts) if part)
    print(f"{'  ' * depth}{name}{times}  {node.class_name}{shared}{'  ' + what if what else ''}")
    for child in node.children:
        _print_node(child, depth + 1, node.count)


def _span(items: tuple[int, ...]) -> str:
    """Places of a list, e.g. 3-60 or 0, 2, 4 …"""
    if items == tuple(range(items[0], items[-1] + 1)):
        return f"[{items[0]}-{items[-1]}]" if len(items) > 1 else f"[{items[0]}]"
    return f"[{', '.join(map(str, items[:4]))}{', …' if len(items) > 4 else ''}]"
