"""The four usual drawings of architectures: each module of them and what it computes here.

A drawing is a configuration and its modules with the kind of definition each stands for; `None` is
one that computes nothing of its own. Where SGLang's code does otherwise, `DIFFERENT` says so.
"""

from __future__ import annotations

from typing import Any

import pytest

from flashinfer_bench.models.definitions.aliases import sglang_names
from flashinfer_bench.models.definitions.mapping import MappedLayer, map_layers
from flashinfer_bench.models.patterns import build_pattern_tree
from flashinfer_bench.models.serving import ServingProfile

BASE: dict[str, Any] = {
    **{"hidden_size": 256, "num_hidden_layers": 2, "vocab_size": 1024, "rms_norm_eps": 1e-6},
    **{"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 64, "hidden_act": "silu"},
    **{"intermediate_size": 512, "tie_word_embeddings": False, "rope_theta": 1e4},
}
MOE = {**BASE, "num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 64}
MLA = {
    **{**BASE, "kv_lora_rank": 128, "q_lora_rank": 96, "qk_nope_head_dim": 32},
    **{"qk_rope_head_dim": 16, "v_head_dim": 32},
}
GDN = {
    **{
        **BASE,
        "full_attention_interval": 2,
        "linear_num_key_heads": 2,
        "linear_num_value_heads": 4,
    },
    **{"linear_key_head_dim": 32, "linear_value_head_dim": 32, "linear_conv_kernel_dim": 4},
}
DRAWINGS: dict[str, tuple[dict[str, Any], dict[str, str | None]]] = {
    "standard": (
        BASE,
        {
            **{"embed_tokens": None, "input_layernorm": "rmsnorm", "qkv_proj": "gemm"},
            **{"rotary_emb": "rope", "attn": "gqa_paged", "o_proj": "gemm", "norm": "rmsnorm"},
            **{"post_attention_layernorm": "rmsnorm", "gate_up_proj": "gemm", "act_fn": None},
            **{"down_proj": "gemm", "lm_head": "gemm"},
        },
    ),
    "moe": (MOE, {"moe_gate": "moe", "moe_topk": "moe", "moe_experts": "moe"}),
    "mla": (
        MLA,
        {
            **{"fused_qkv_a_proj_with_mqa": "gemm", "q_a_layernorm": "rmsnorm"},
            **{"q_b_proj": "gemm", "kv_a_layernorm": "rmsnorm", "kv_b_proj": "gemm"},
            **{"rotary_emb": "rope", "attn_mla": "mla_paged", "o_proj": "gemm"},
        },
    ),
    "gdn": (
        GDN,
        {
            **{"q_proj": "gemm", "k_proj": "gemm", "v_proj": "gemm", "gating_proj": "gemm"},
            **{"attn_gdn": "gdn", "o_proj": "gemm"},
        },
    ),
}
DIFFERENT = {
    ("moe", "moe_gate"): ("gemm", "the router is a matrix of its own before the experts' kernel"),
}
"""Drawing and module -> kind of definition in SGLang's code, and why."""


def layers_of(config: dict[str, Any]) -> list[MappedLayer]:
    tree = build_pattern_tree(config)
    return map_layers(tree.root, ServingProfile())


def kinds(layer: MappedLayer, layers: list[MappedLayer]) -> set[str]:
    if layer.inside is not None:
        inside = next(it for it in layers if it.path == layer.inside)
        return kinds(inside, layers)
    return {it.op_type for it in layer.definitions}


@pytest.mark.parametrize(
    ("drawing", "module"), [(key, name) for key, (_, names) in DRAWINGS.items() for name in names]
)
def test_modules_of_drawings(drawing: str, module: str) -> None:
    config, expected = DRAWINGS[drawing]
    layers = layers_of(config)
    named = [it for it in layers if it.path.rpartition(".")[2] in sglang_names(module)]
    if drawing == "gdn":
        named = [it for it in named if ".linear_attn." in f".{it.path}"]
    assert named, f"no module of SGLang's stands for {module}"
    found = set().union(*(kinds(it, layers) for it in named))
    kind = DIFFERENT.get((drawing, module), (expected[module], ""))[0]
    assert (kind in found) if kind else not found


def test_listed_differences_are_real() -> None:
    for (drawing, module), (kind, reason) in DIFFERENT.items():
        assert DRAWINGS[drawing][1][module] != kind and reason
