"""Names of modules in drawings of architectures, and what SGLang calls them."""

from __future__ import annotations

from collections.abc import Mapping

MODULE_NAMES: Mapping[str, tuple[str, ...]] = {
    "attn": ("attn", "attn_mqa", "attn_mha"),
    "attn_mla": ("attn_mqa", "attn_mha"),
    "attn_gdn": ("attn",),
    "moe_gate": ("gate", "router"),
    "moe_topk": ("topk",),
    "moe_experts": ("experts",),
    "q_proj": ("q_proj", "qkv_proj", "in_proj_qkvz"),
    "k_proj": ("k_proj", "qkv_proj", "in_proj_qkvz"),
    "v_proj": ("v_proj", "qkv_proj", "in_proj_qkvz"),
    "gating_proj": ("in_proj_ba", "in_proj_b", "b_proj"),
    "kv_a_layernorm": ("kv_a_layernorm", "kv_a_norm"),
    "o_proj": ("o_proj", "out_proj"),
    "self_attn": ("self_attn", "linear_attn", "attention"),
    "mlp": ("mlp", "feed_forward", "block_sparse_moe"),
}
"""Name in a drawing -> names in SGLang's models, the usual one first."""


def sglang_names(name: str) -> tuple[str, ...]:
    """What SGLang may call a module of a drawing; its own name where nothing else is known."""
    return MODULE_NAMES.get(name, (name,))


__all__ = ["MODULE_NAMES", "sglang_names"]
