"""`flashinfer-bench model NAME`: the module tree that SGLang would build of a model."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from flashinfer_bench.cli.options import add_output, add_serving, serving_options
from flashinfer_bench.cli.output import print_json
from flashinfer_bench.collector import paused_gc
from flashinfer_bench.errors import ExitCode

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
    add_serving(parser)
    add_output(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the tree; what a reader should know goes to stderr."""
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
        if options.format == "json":
            print_json(_as_json(model))
        else:
            _print(model)
    return ExitCode.OK


def _print(model: ExtractedModel) -> None:
    for note in (*model.notes, *_doubts(model)):
        print(note, file=sys.stderr)
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


def _doubts(model: ExtractedModel) -> list[str]:
    unknown = [
        f"unknown: {path}: {what}" for path, it in model.tree.root.walk() for what in it.unknown
    ]
    return [
        *unknown,
        *(f"doubt: {it.reason} ({it.place}): {it.effect}" for it in model.tree.doubts),
    ]


def _as_json(model: ExtractedModel) -> dict[str, Any]:
    profile = model.serving.profile
    return {
        "model_id": model.hub.model_id,
        "source": {"config": model.hub.source, "place": model.hub.place},
        "revision": model.hub.revision,
        "sglang": model.sglang.version,
        "architecture": model.tree.architecture.name,
        "serving": {**vars(profile), "reason": model.serving.reason},
        "parameters": model.tree.parameters,
        "weight_bytes": round(model.weight_bytes),
        "notes": model.notes,
        "doubts": _doubts(model),
        "tree": _node_as_json(model.tree.root),
        "outside": [_node_as_json(node) for node in model.tree.outside],
    }


def _node_as_json(node: ModuleNode) -> dict[str, Any]:
    found: dict[str, Any] = {
        **{"name": node.name, "class": node.class_name, "kind": node.kind, "role": node.role},
        **{"count": node.count, "place": str(node.place), "parameters": node.parameters},
        **{"flops_per_token": node.flops_per_token},
        "flops_per_token_and_key": node.flops_per_token_and_key,
    }
    if node.items:
        found["items"] = list(node.items)
    if node.facts:
        found["facts"] = {key: _plain(it) for key, it in node.facts.items()}
    if node.weights:
        found["weights"] = [
            {"name": it.name, "shape": [_plain(size) for size in it.shape or ()], "dtype": it.dtype}
            for it in node.weights
        ]
    if node.shared:
        found["shared"] = True
    return {**found, "children": [_node_as_json(child) for child in node.children]}


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, (bool, int, float, str)) else repr(value)
