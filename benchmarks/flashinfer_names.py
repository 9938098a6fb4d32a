"""Names of definitions against those that FlashInfer's own trace templates give.

    python benchmarks/flashinfer_names.py FOLDER [--model NAME[,tp=N,ep=N] ...]
        [--sglang PATH] [--transformers PATH]

FOLDER holds FlashInfer's unpacked wheel; only its `trace` package is imported. For each definition
of the models the template of the same operation is asked for its name with the same constants;
the two must be equal once FlashInfer's prefix is put for ours.
"""

from __future__ import annotations

import argparse
import sys
import types
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from flashinfer_bench.models.extraction import extract_model, map_model
from flashinfer_bench.ops.registry import parse_name

MODELS = (
    *("deepseek-v3,tp=8,ep=8", "kimi-k2,tp=8,ep=8", "llama-3.1-8b,tp=1", "qwen3-30b-a3b,tp=1"),
    *("qwen3-next-80b-a3b,tp=1", "gpt-oss-120b,tp=1"),
)
TEMPLATES = {
    **{name: name for name in ("rmsnorm", "fused_add_rmsnorm", "gemma_rmsnorm")},
    **{"gemma_fused_add_rmsnorm": "gemma_fused_add_rmsnorm", "gemm": "gemm_bf16"},
    **{"gqa_paged_decode": "gqa_paged_decode", "gqa_paged_prefill_causal": "gqa_paged_prefill"},
    **{"gqa_ragged_prefill_causal": "gqa_ragged", "mla_paged_decode": "mla_paged_decode"},
    **{"mla_paged_prefill_causal": "mla_paged_prefill", "gdn_decode": "gdn_decode"},
    **{"gdn_prefill": "gdn_prefill", "dsa_sparse_attention": "dsa_sparse_attention"},
    "gemm_fp8_block_scale": "gemm_fp8_nt_groupwise",
    "moe_fp8_block_scale_ds_routing": "moe_fp8_block_scale_ds_routing",
    "moe_fp8_block_scale_renorm": "moe_fp8_block_scale_renormalize_routing",
    "trtllm_bf16_moe": "trtllm_bf16_moe",
    "top_k_top_p_sampling_from_probs": "top_k_top_p_sampling",
}
"""Our operation, without its page size -> prefix of FlashInfer's names."""
_FILES = ("norm", "attention", "gemm", "gdn", "moe", "sampling")


def templates(folder: Path) -> dict[str, Any]:
    """Prefix -> template, of FlashInfer's package without the package's own imports."""
    package = types.ModuleType("flashinfer")
    package.__path__ = [str(folder / "flashinfer")]
    sys.modules["flashinfer"] = package
    found: dict[str, Any] = {}
    for file in _FILES:
        for value in vars(import_module(f"flashinfer.trace.templates.{file}")).values():
            if type(value).__name__.endswith("TraceTemplate") and hasattr(value, "axes"):
                found.setdefault(value.name_prefix or value.op_type, value)
    return found


def definitions(model: str, sglang: str | None, transformers: str | None) -> Iterator[str]:
    """Official names, each once."""
    name, *stated = model.split(",")
    serving: dict[str, Any] = {key: int(it) for key, it in (part.split("=") for part in stated)}
    extracted = extract_model(
        name, offline=True, sglang_path=sglang, transformers_path=transformers, **serving
    )
    layers = map_model(extracted)
    yield from dict.fromkeys(it.name for layer in layers for it in layer.definitions)


def flashinfers_name(name: str, known: Mapping[str, Any]) -> str | None:
    """What FlashInfer would call it, with our prefix and suffix; None without a template."""
    operation, constants = parse_name(name)
    kind = operation.kind.removesuffix("_ps1")
    template = known.get(TEMPLATES.get(kind, ""))
    if template is None:
        return None
    sizes = dict(constants)
    if operation.kind.endswith("_ps1"):
        sizes["page_size"] = 1
    if kind == "trtllm_bf16_moe":  # ours is for all experts on one rank
        sizes["num_local_experts"] = sizes["num_experts"]
    theirs = str(template.definition_name(sizes))
    renamed = theirs.replace(template.name_prefix or template.op_type, kind, 1)
    if kind == "gemm":
        renamed = renamed.lower()
    return f"{renamed}_k_last" if kind.startswith("gdn") else renamed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", action="append")
    parser.add_argument("--sglang")
    parser.add_argument("--transformers")
    given = parser.parse_args()
    known = templates(given.folder)
    differing = 0
    for model in given.model or MODELS:
        names = list(definitions(model, given.sglang, given.transformers))
        theirs = {name: flashinfers_name(name, known) for name in names}
        wrong = {name: it for name, it in theirs.items() if it not in (None, name)}
        without = sum(it is None for it in theirs.values())
        agree = len(names) - len(wrong) - without
        print(f"{model}: {agree} agree, {len(wrong)} differ, {without} have no template")
        for name, it in wrong.items():
            print(f"  {name}: FlashInfer says {it}")
        differing += len(wrong)
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
