"""Compares our module trees with those that SGLang itself builds, model by model.

    python benchmarks/sglang_oracle.py ORACLE.jsonl --sglang DIR --transformers DIR [--model NAME …]

ORACLE.jsonl is what SGLang's own classes gave, built on the meta device: one object a line, with
`config` (path of a config.json), `tp`, `ep`, `ok` and what was counted: layer_kinds, linears,
norms, attention, linear_attention, moe, topk, embeddings, params_rank0. Nothing of SGLang is
imported here. Prints what differs, then how many agree in each respect.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from flashinfer_bench.errors import FlashInferBenchError
from flashinfer_bench.models.serving import ServingProfile
from flashinfer_bench.models.sglang.build import ModelTree, build_tree
from flashinfer_bench.models.sglang.source import find_sglang
from flashinfer_bench.models.tree import ModuleNode, layer_runs

RESPECTS = (
    "runs",
    "linears",
    "norms",
    "attention",
    "linear_attention",
    "moe",
    "topk",
    "embeddings",
)
_EXPERTS = (
    *("num_experts", "num_local_experts", "top_k", "hidden_size"),
    *("intermediate_size_per_partition", "num_fused_shared_experts"),
)
_ROUTING = (
    *("top_k", "use_grouped_topk", "num_expert_group", "topk_group", "scoring_func"),
    "renormalize",
)


def measure(tree: ModelTree) -> dict[str, Any]:
    """What the oracle counts, of our tree."""
    counted: dict[str, Counter[str]] = {name: Counter() for name in RESPECTS[1:]}
    for _, node in tree.root.walk():
        for respect, row in _rows(node):
            kept = {key: value for key, value in row.items() if value is not None}
            counted[respect][json.dumps(kept, sort_keys=True, default=repr)] += node.count
    found: dict[str, Any] = dict(counted)
    found["runs"] = [(run.count, run.class_name) for run in layer_runs(tree.root)]
    found["params"] = tree.parameters
    return found


def _rows(node: ModuleNode) -> Iterator[tuple[str, dict[str, Any]]]:
    facts, name = node.facts, node.class_name
    if node.shared:
        return
    if node.role == "linear" and "input_size_per_partition" in facts:
        yield "linears", _linear(node)
    elif name == "Linear" and node.weights:
        n, k = node.weights[0].shape or (None, None)
        yield "linears", {"cls": "nn.Linear", "n": n, "k": k}
    elif node.role == "embedding":
        sizes = ("num_embeddings", "num_embeddings_padded", "num_embeddings_per_partition")
        yield "embeddings", {"cls": name, **{key: facts[key] for key in (*sizes, "embedding_dim")}}
    elif "Norm" in name:
        weight = next((it for it in node.weights if it.name == "weight"), None)
        dim = weight.shape[-1] if weight and weight.shape else facts.get("hidden_size")
        yield "norms", {"cls": name, "dim": dim}
    elif node.role == "attention":
        yield "attention", _attention(facts)
    elif node.role == "linear attention":
        keys = {"q": "num_q_heads", "k": "num_k_heads", "v": "num_v_heads"}
        widths = {"dk": "head_k_dim", "dv": "head_v_dim"}
        yield "linear_attention", {key: facts[it] for key, it in {**keys, **widths}.items()}
    elif node.role == "experts":
        yield "moe", {"cls": name, **{key: facts[key] for key in _EXPERTS}}
    elif name == "TopK":
        yield "topk", {key: facts[key] for key in _ROUTING}


def _linear(node: ModuleNode) -> dict[str, Any]:
    facts = node.facts
    return {
        **{"cls": node.class_name, "n": facts["output_size_per_partition"]},
        **{"k": facts["input_size_per_partition"], "n_full": facts["output_size"]},
        "k_full": facts["input_size"],
    }


def _attention(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **{"h": facts["tp_q_head_num"], "kv": facts["tp_k_head_num"], "d": facts["qk_head_dim"]},
        **{"dv": facts["v_head_dim"], "win": facts["sliding_window_size"]},
        **{"cross": facts["is_cross_attention"] or None, "type": facts["attn_type"]},
    }


def oracle_counts(record: Mapping[str, Any]) -> dict[str, Any]:
    """The oracle's own rows, as `measure` gives ours."""
    found: dict[str, Any] = {}
    for respect in RESPECTS[1:]:
        rows = [(count, dict(row)) for count, row in record[respect]]
        for _, row in rows:
            row.pop("method", None)
        found[respect] = Counter()
        for count, row in rows:
            kept = {key: value for key, value in row.items() if value is not None}
            found[respect][json.dumps(kept, sort_keys=True)] += count
    found["runs"] = [(count, kind.partition("#")[0]) for count, kind in record["layer_kinds"]]
    found["params"] = record["params_rank0"]
    return found


def differences(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, str]:
    """Respect -> what differs, ours first."""
    found = {}
    for respect in RESPECTS[1:]:
        more, less = ours[respect] - theirs[respect], theirs[respect] - ours[respect]
        if more or less:
            found[respect] = f"ours {dict(more.most_common(4))} theirs {dict(less.most_common(4))}"
    if not same_runs(ours["runs"], theirs["runs"]):
        found["runs"] = f"ours {ours['runs'][:8]} theirs {theirs['runs'][:8]}"
    if abs(ours["params"] - theirs["params"]) > 1e-3 * theirs["params"]:
        found["params"] = f"ours {ours['params']:,} theirs {theirs['params']:,}"
    return found


def same_runs(ours: list[tuple[int, str]], theirs: list[tuple[int, str]]) -> bool:
    """A list of one item is no list to the oracle."""
    return ours == theirs or (not theirs and sum(count for count, _ in ours) <= 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("oracle", type=Path)
    parser.add_argument("--sglang", type=Path)
    parser.add_argument("--transformers", type=Path)
    parser.add_argument("--model", action="append", help="part of a config's file name")
    given = parser.parse_args()
    source = find_sglang(given.sglang)
    agree: Counter[str] = Counter()
    total = 0
    start = time.process_time()
    for line in given.oracle.read_text().splitlines():
        record = json.loads(line)
        path = Path(record["config"])
        if given.model and not any(part in path.name for part in given.model):
            continue
        total += bool(record["ok"])
        agree.update(_compare(path, record, source, given.transformers))
    print(f"{time.process_time() - start:.1f} s CPU; of {total} that SGLang builds:")
    for name, count in sorted(agree.items(), key=lambda it: -it[1]):
        print(f"  {name:20} {count:4} {count / max(total, 1):7.1%}")


def _compare(path: Path, record: Mapping[str, Any], source: Any, transformers: Any) -> list[str]:
    """Prints what differs; names the respects that agree."""
    config = json.loads(path.read_text())
    config.pop("quantization_config", None)
    for key, value in (record.get("job") or {}).get("set", {}).items():
        _set(config, key.split("."), value)
    profile = _profile(record)
    changed = (record.get("job") or {}).get("set")
    what = f"{path.stem} {changed or ''} tp {profile.tp} ep {profile.ep}"
    try:
        tree = build_tree(config, source, profile, transformers=transformers)
    except FlashInferBenchError as error:
        if record["ok"]:
            print(f"{what}: {error}")
        return [] if record["ok"] else ["(both refuse)"]
    if not record["ok"]:
        print(f"{what}: SGLang refuses: {str(record.get('error'))[:160]}")
        return []
    found = differences(measure(tree), oracle_counts(record))
    unknown = [f"{at}: {it}" for at, node in tree.root.walk() for it in node.unknown]
    for respect, text in found.items():
        print(f"{what}: {respect}: {text[:600]}")
    for doubt in tree.doubts if found else ():
        print(f"    doubt {doubt.reason} at {doubt.place}: {doubt.effect}")
    if found and not unknown and not tree.doubts:
        print("    no doubt")
    equal = [name for name in (*RESPECTS, "params") if name not in found]
    return [*equal, *([] if found else ["(all)"])]


def _set(config: dict[str, Any], keys: list[str], value: Any) -> None:
    for key in keys[:-1]:
        config = config[key]
    config[keys[-1]] = value


def _profile(record: Mapping[str, Any]) -> ServingProfile:
    """As the oracle ran, with the runner that SGLang resolved."""
    resolved = record.get("resolved", {})
    return ServingProfile(
        gpu="b200" if str(record.get("cap", "9.0")).startswith("10") else "h200",
        tp=record.get("tp", 1),
        ep=record.get("ep", 1),
        attention_backend=resolved.get("attention_backend"),
        moe_runner=resolved.get("moe_runner_backend", "auto"),
        page_size=resolved.get("page_size"),
        shared_expert_fusion=False if resolved.get("disable_shared_experts_fusion") else None,
    )


if __name__ == "__main__":
    main()
