"""What each kind of layer computes: the operations of the registry, with their constants.

A function of a row takes a layer and what surrounds it, and gives its operations, or the name of
what has no operation yet.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from flashinfer_bench.models.definitions.paging import SPARSE, page_size
from flashinfer_bench.models.quantization import Quantization
from flashinfer_bench.models.serving import ServingProfile
from flashinfer_bench.models.tree import ModuleNode, decay_rule


@dataclass(frozen=True)
class Use:
    """An operation that a layer runs, or part of one."""

    kind: str
    """Of the registry, whose name the official dataset uses."""
    constants: Mapping[str, Any]
    when: str = ""
    """Empty where it always runs."""
    beyond: Mapping[str, Any] = field(default_factory=dict)
    """Constants that official names leave out, such as the window of attention."""
    exact_kind: str | None = None
    """Where the official name's own operation has another dtype."""


@dataclass(frozen=True)
class Gap:
    """Something that no operation of the registry computes yet."""

    name: str


@dataclass(frozen=True)
class Inside:
    """What another module's operation does."""

    path: str


@dataclass(frozen=True)
class Around:
    """What surrounds a layer."""

    path: str
    parent: ModuleNode
    profile: ServingProfile
    quantization: Quantization | None
    norm_kinds: frozenset[str]
    """Of a norm, which its callers reach: `plain`, `fused`."""
    vocab_size: int | None
    """Of the model's output."""

    def sibling(self, role: str) -> ModuleNode | None:
        return next((it for it in self.parent.children if it.role == role), None)

    def sibling_path(self, name: str) -> str:
        return f"{self.path.rpartition('.')[0]}.{name}".strip(".")


Found = Sequence[Use] | Gap | Inside
Family = Callable[[ModuleNode, Around], Found]


def linear(node: ModuleNode, around: Around) -> Found:
    weight = next((it for it in node.weights if it.name == "weight"), None)
    if weight is None or not weight.is_known or weight.shape is None:
        return Gap(f"{node.class_name} of unknown size")
    if len(weight.shape) != 2:
        return Gap("convolution" if node.name.startswith("conv") else "batched gemm")
    constants = {"N": weight.shape[0], "K": math.prod(weight.shape[1:])}
    family = _family(around, node, weight.itemsize)
    if family == "fp8_block_scale":
        return [Use("gemm_fp8_block_scale", constants)]
    if family is not None:
        return Gap(f"gemm_{family}")
    exact = "gemm_bf16" if weight.dtype == "bfloat16" else None
    return [Use("gemm", constants, exact_kind=exact)]


def _family(around: Around, node: ModuleNode, itemsize: float) -> str | None:
    """Of a quantised layer's values; None where it is not quantised."""
    quantization = around.quantization
    if quantization is None:
        return None
    role = "linear" if node.role == "embedding" else node.role
    if quantization.bits_of(around.path, role, itemsize) == itemsize * 8:
        return None
    return quantization.family


def embedding(node: ModuleNode, around: Around) -> Found:
    """A table that is looked up, or the output projection."""
    projects = "with_bias" in node.facts or node.shared
    return linear(node, around) if projects else Gap("embedding lookup")


def norm(node: ModuleNode, around: Around) -> Found:
    size, eps = node.facts.get("hidden_size"), node.facts.get("variance_epsilon")
    base = node.facts.get("layer_class", node.class_name)
    if base == "LayerNorm":
        return Gap("layernorm")
    if not node.weights:
        return Gap("rmsnorm without a weight")
    stem = "gemma_" if "Gemma" in base and base != "Gemma4RMSNorm" else ""
    constants, beyond = {"hidden_size": size}, _eps(eps)
    uses = []
    if "fused" in around.norm_kinds:
        when = "with a residual" if "plain" in around.norm_kinds else ""
        uses.append(Use(f"{stem}fused_add_rmsnorm", constants, when, beyond))
    if "plain" in around.norm_kinds:
        when = "without a residual" if "fused" in around.norm_kinds else ""
        uses.append(Use(f"{stem}rmsnorm", constants, when, beyond))
    return uses


def _eps(eps: Any) -> dict[str, int]:
    """Its exponent, where that is not the usual one."""
    exponent = round(-math.log10(eps)) if isinstance(eps, float) and eps > 0 else 6
    return {} if exponent == 6 else {"eps_exponent": exponent}


def attention(node: ModuleNode, around: Around) -> Found:
    heads, kv_heads = node.facts["tp_q_head_num"], node.facts["tp_k_head_num"]
    qk, vo = node.facts["qk_head_dim"], node.facts["v_head_dim"]
    if not all(isinstance(it, int) for it in (heads, kv_heads, qk, vo)):
        return Gap("attention of unknown size")
    if node.facts.get("is_cross_attention"):
        return Gap("cross attention")
    if node.facts.get("attn_type") not in ("decoder", "decoder_bidirectional"):
        return Gap("bidirectional attention")
    if kv_heads == 1 and qk > vo and heads > 1:
        return _latent(heads, vo, qk - vo, around)
    if qk != vo:
        constants = {"num_qo_heads": heads, "qk_dim": qk, "vo_dim": vo}
        if heads == kv_heads:
            return [Use("mla_ragged_prefill_causal", constants, "prefill")]
        return Gap("grouped-query attention with keys and values of different widths")
    return _grouped(node, heads, kv_heads, qk, around)


def _grouped(node: ModuleNode, heads: int, kv_heads: int, size: int, around: Around) -> list[Use]:
    constants = {"num_qo_heads": heads, "num_kv_heads": kv_heads, "head_dim": size}
    window, cap = node.facts.get("sliding_window_size"), node.facts.get("logit_cap")
    beyond = {"window_left": window} if isinstance(window, int) and window >= 0 else {}
    if cap and float(cap).is_integer():
        beyond["logits_soft_cap"] = int(cap)
    paged = _paged(page_size(around.profile))
    return [
        *(
            Use(f"gqa_paged_{stage}{paged.suffix}", {**constants, **paged.constants}, when, beyond)
            for stage, when in _STAGES
        ),
        Use("gqa_ragged_prefill_causal", constants, "prefill without a cached prefix", beyond),
    ]


def _latent(heads: int, ckv: int, kpe: int, around: Around) -> list[Use]:
    constants = {"num_qo_heads": heads, "head_dim_ckv": ckv, "head_dim_kpe": kpe}
    chosen = next((it.facts["index_topk"] for it in around.parent.children if _indexes(it)), None)
    if isinstance(chosen, int):
        sparse = {**constants, "topk": chosen, "page_size": SPARSE}
        return [Use("dsa_sparse_attention", sparse)]
    paged = _paged(page_size(around.profile))
    return [
        Use(f"mla_paged_{stage}{paged.suffix}", {**constants, **paged.constants}, when)
        for stage, when in _STAGES
    ]


@dataclass(frozen=True)
class _Paged:
    suffix: str
    constants: Mapping[str, int]


def _paged(size: int) -> _Paged:
    return _Paged("_ps1", {}) if size == 1 else _Paged("", {"page_size": size})


_STAGES = (("decode", "decode"), ("prefill_causal", "prefill with a cached prefix"))


def _indexes(node: ModuleNode) -> bool:
    return "index_topk" in node.facts


def indexer(node: ModuleNode, around: Around) -> Found:
    names = {"n_heads": "num_index_heads", "head_dim": "index_head_dim", "index_topk": "topk"}
    constants = {ours: node.facts.get(theirs) for theirs, ours in names.items()}
    return [Use("dsa_topk_indexer_fp8", {**constants, "page_size": SPARSE})]


def linear_attention(node: ModuleNode, around: Around) -> Found:
    """The gated delta rule has one decay a head; other rules have no operation yet."""
    facts = node.facts
    if decay_rule(node, around.parent) != "gdn" or facts["head_q_dim"] != facts["head_v_dim"]:
        return Gap(f"linear attention ({around.parent.class_name})")
    constants = {"num_q_heads": facts["num_k_heads"], "num_v_heads": facts["num_v_heads"]}
    constants["head_size"] = facts["head_q_dim"]
    return [Use(f"gdn_{stage}", constants, stage) for stage in ("decode", "prefill")]


def state_space(node: ModuleNode, around: Around) -> Found:
    facts, ranks = node.facts, node.facts.get("tp_size") or 1
    constants = {
        "nheads": next((it.elements for it in node.weights if it.name == "D"), None),
        **{"head_dim": facts.get("head_dim"), "dstate": facts.get("ssm_state_size")},
        "ngroups": max(1, facts["n_groups"] // ranks) if facts.get("n_groups") else None,
    }
    return [Use("mamba_ssu_decode", constants, "decode")]


def experts(node: ModuleNode, around: Around) -> Found:
    facts, routing = node.facts, around.sibling("routing")
    shared = facts.get("num_fused_shared_experts") or 0
    chosen = _top_k(node, routing)
    if shared and isinstance(chosen, int):
        chosen -= shared
    family = _family(around, node, next((it.itemsize for it in node.weights), 2.0))
    sizes = {
        **{"top_k": chosen, "hidden_size": facts["hidden_size"]},
        "intermediate_size": facts["intermediate_size_per_partition"],
    }
    total, local = (facts[it] - shared for it in ("num_experts", "num_local_experts"))
    if not all(isinstance(it, int) for it in (*sizes.values(), total, local)):
        return Gap("moe of unknown size")
    when = f"without the {shared} shared that SGLang runs with them" if shared else ""
    by_bias = routing is not None and _is_by_groups(routing)
    if family == "fp8_block_scale":
        if not by_bias:
            constants = {**sizes, "num_local_experts": local}
            return [Use("moe_fp8_block_scale_renorm", constants, when)]
        groups = {"n_group": _whole(routing, "num_expert_group")}
        groups["topk_group"] = _whole(routing, "topk_group")
        constants = {**sizes, **groups, "num_local_experts": local}
        beyond = {"num_experts": total}
        return [Use("moe_fp8_block_scale_ds_routing", constants, when, beyond)]
    kind = _WHOLE_MOE.get(family or "bf16")
    if kind is None:
        return Gap(f"moe_{family}")
    if by_bias and kind == "trtllm_bf16_moe":
        return Gap("moe_bf16 with routing by groups or a bias")
    if local != total:
        return Gap(f"{kind} of some of all experts")
    return [Use(kind, {**sizes, "num_experts": total}, when)]


_WHOLE_MOE = {
    "bf16": "trtllm_bf16_moe",
    "fp8_per_tensor": "trtllm_fp8_per_tensor_scale_moe",
    "fp4": "trtllm_fp4_block_scale_moe",
    "mxfp4": "trtllm_fp4_block_scale_moe",
}


def _top_k(node: ModuleNode, routing: ModuleNode | None) -> Any:
    stated = node.facts.get("top_k")
    return routing.facts.get("top_k") if stated is None and routing is not None else stated


def _is_by_groups(routing: ModuleNode) -> bool:
    facts = routing.facts
    grouped = facts.get("use_grouped_topk") and (facts.get("num_expert_group") or 1) > 1
    return bool(facts.get("correction_bias") or grouped)


def _whole(routing: ModuleNode | None, name: str) -> int:
    value = routing.facts.get(name) if routing is not None else None
    return value if isinstance(value, int) else 1


def routing(node: ModuleNode, around: Around) -> Found:
    """Part of its experts' operation."""
    inside = around.sibling("experts")
    return Inside(around.sibling_path(inside.name)) if inside else Gap("moe routing")


def rope(node: ModuleNode, around: Around) -> Found:
    facts = node.facts
    style = "neox" if facts.get("is_neox_style", True) else "gptj"
    constants = {name: facts.get(name) for name in ("head_size", "rotary_dim")}
    return [Use(f"rope_with_cos_sin_cache_{style}_style", constants)]


def other(node: ModuleNode, around: Around) -> Found:
    """A layer of no role; a matrix beside experts is their router."""
    matrices = [it for it in node.weights if it.name == "weight" and len(it.shape or ()) == 2]
    routes = around.sibling("experts") is not None
    if len(matrices) == 1 and (routes or node.class_name.endswith("Linear")):
        return linear(node, around)
    return Gap(
        "embedding lookup" if matrices and "Embedding" in node.class_name else node.class_name
    )


def logits(node: ModuleNode, around: Around) -> Found:
    """What follows them: one token of each row is drawn."""
    if around.vocab_size is None:
        return Gap("logits of unknown size")
    return [Use("top_k_top_p_sampling_from_probs", {"vocab_size": around.vocab_size}, "sampling")]


def named(name: str) -> Family:
    """A gap under one name, with the class."""
    return lambda node, around: Gap(f"{name} ({node.class_name})")


FAMILIES: Mapping[str | None, Family] = {
    **{"linear": linear, "embedding": embedding, "norm": norm, "attention": attention},
    **{"linear attention": linear_attention, "experts": experts, "routing": routing},
    **{"rope": rope, "indexer": indexer, "state space": state_space, None: other},
    **{"activation": named("activation"), "logits": logits, "pooling": named("pooling")},
    "missing": named("on another rank"),
}
"""Role -> its operations."""

__all__ = ["FAMILIES", "Around", "Gap", "Inside", "Use"]
