"""SGLang's layers that are leaves of a module tree, and the weights they make on one rank.

A row tells what a layer of `sglang.srt.layers` makes of its constructor's arguments, which are
bound by the signature in the source at hand. Sizes that do not divide are refused as SGLang does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from flashinfer_bench.models.evaluator.standard_library import Shell
from flashinfer_bench.models.evaluator.values import is_unknown

Sizes = dict[str, Any]


@dataclass(frozen=True)
class Made:
    """What a layer's constructor makes."""

    weights: Mapping[str, tuple[Any, ...] | None]
    """Name -> shape on one rank; None is a weight that the layer goes without."""
    facts: Mapping[str, Any]
    """Attributes, under SGLang's names; also what a reader of the tree sees."""
    dtypes: Mapping[str, str] = field(default_factory=dict)
    """Of weights that do not have the model's dtype."""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    """What constructors read of it besides."""


@dataclass(frozen=True)
class Leaf:
    kind: str
    """What it is to a reader: linear, norm, embedding, attention, moe, …"""
    make: Callable[[SimpleNamespace, Any], Made]
    """(arguments, parallel sizes) -> weights and facts."""


class Settable(Shell):
    """Facts that constructors may change, and Unknown for every other name."""

    def __setattr__(self, name: str, value: Any) -> None:
        self.__dict__[name] = value


class Impossible(ValueError):
    """A size that cannot be divided over the ranks."""


def divide(size: Any, parts: int) -> Any:
    """Equal parts; raises Impossible where there is a rest."""
    if is_unknown(size) or is_unknown(parts):
        return size if is_unknown(size) else parts
    if size % parts:
        raise Impossible(f"{size} is not divisible by {parts}")
    return size // parts


def _ranks(given: SimpleNamespace, parallel: Any) -> Any:
    """Over how many ranks a linear layer is split."""
    group = getattr(given, "parallel_group", None)
    stated = getattr(given, "tp_size", None)
    if stated is not None:
        return stated
    if group is None or group == "tp":
        return parallel.tp_size
    if group == "replicated":
        return 1
    if isinstance(group, str):
        return getattr(parallel, f"{group}_size") or parallel.tp_size
    inner = _ranks(SimpleNamespace(parallel_group=group.group), parallel)
    return inner // group.replica_size


def _linear(given: SimpleNamespace, n: Any, k: Any, n_full: Any, k_full: Any, **facts: Any) -> Made:
    weights: dict[str, Any] = {"weight": (n, k)}
    if "bias" in vars(given):
        weights["bias"] = (n,) if given.bias else None
    return Made(
        weights,
        {
            **{"input_size": k_full, "output_size": n_full},
            **{"input_size_per_partition": k, "output_size_per_partition": n},
            "with_bias": bool(getattr(given, "bias", False)),
            **facts,
        },
    )


def replicated(given: SimpleNamespace, parallel: Any) -> Made:
    n, k = given.output_size, given.input_size
    return _linear(given, n, k, n, k, parallel="replicated")


def column(given: SimpleNamespace, parallel: Any) -> Made:
    n, k = given.output_size, given.input_size
    return _linear(given, divide(n, _ranks(given, parallel)), k, n, k, parallel="column")


def merged_column(given: SimpleNamespace, parallel: Any) -> Made:
    ranks, sizes = _ranks(given, parallel), list(given.output_sizes)
    n = sum(divide(size, ranks) for size in sizes)
    made = _linear(given, n, given.input_size, sum(sizes), given.input_size, parallel="column")
    return Made(made.weights, {**made.facts, "output_sizes": sizes})


def repeated_column(given: SimpleNamespace, parallel: Any) -> Made:
    ranks = _ranks(given, parallel)
    columns, repeated = list(given.column_output_sizes), list(given.repeated_output_sizes)
    n = sum(divide(size, ranks) for size in columns) + sum(repeated)
    k = given.input_size
    return _linear(given, n, k, sum(columns) + sum(repeated), k, parallel="column")


def qkv(given: SimpleNamespace, parallel: Any) -> Made:
    ranks = _ranks(given, parallel)
    d = given.head_size
    dv = getattr(given, "v_head_size", None)
    dv = d if dv is None else dv
    total_kv = given.total_num_kv_heads
    total_kv = given.total_num_heads if total_kv is None else total_kv
    group = getattr(given, "kv_parallel_group", None)
    kv_ranks = ranks if group is None else _ranks(SimpleNamespace(parallel_group=group), parallel)
    heads = divide(given.total_num_heads, ranks)
    if kv_ranks >= total_kv:
        divide(kv_ranks, total_kv)
        kv_heads = 1
    else:
        kv_heads = divide(total_kv, kv_ranks)
    n = heads * d + kv_heads * d + kv_heads * dv
    k = given.hidden_size
    facts = {"num_heads": heads, "num_kv_heads": kv_heads, "head_size": d, "v_head_size": dv}
    return _linear(given, n, k, n * ranks, k, parallel="column", **facts)


def row(given: SimpleNamespace, parallel: Any) -> Made:
    n, k = given.output_size, given.input_size
    return _linear(given, n, divide(k, _ranks(given, parallel)), n, k, parallel="row")


def batched_column(given: SimpleNamespace, parallel: Any) -> Made:
    n = given.output_size // _ranks(given, parallel)
    facts = {"batch": given.batch, "input_size": given.input_size, "output_size": given.output_size}
    return Made({"weight": (given.batch, n, given.input_size)}, facts)


def norm(given: SimpleNamespace, parallel: Any) -> Made:
    """RMS normalisation, scaled unless its arguments say otherwise."""
    size = _first(given, "hidden_size", "dim", "head_dim")
    scaled = getattr(given, "has_weight", True) and getattr(given, "with_scale", True)
    eps = _first(given, "eps", "variance_epsilon")
    facts = {"hidden_size": size, "variance_epsilon": eps}
    return Made({"weight": (size,) if scaled else None}, facts)


def norm_without_scale(given: SimpleNamespace, parallel: Any) -> Made:
    made = norm(given, parallel)
    return Made({}, made.facts)


def layer_norm(given: SimpleNamespace, parallel: Any) -> Made:
    size = _first(given, "hidden_size", "dim")
    affine = getattr(given, "elementwise_affine", True)
    shape = (size,) if affine else None
    return Made(
        {"weight": shape, "bias": shape if getattr(given, "bias", True) else None},
        {"hidden_size": size, "variance_epsilon": given.eps},
    )


def _first(given: SimpleNamespace, *names: str) -> Any:
    return next((getattr(given, name) for name in names if hasattr(given, name)), None)


def embedding(given: SimpleNamespace, parallel: Any) -> Made:
    """Rows are padded to a multiple of `padding_size`, and of the ranks where they must be."""
    rows, ranks = given.num_embeddings, parallel.tp_size
    if not getattr(given, "enable_tp", True):
        ranks = 1
    elif getattr(given, "use_attn_tp_group", False) is True:
        ranks = parallel.attn_tp_size
    padding = given.padding_size
    if not is_unknown(rows) and padding % ranks:
        padding *= ranks
    original = given.org_num_embeddings or rows
    padded = -(-original // padding) * padding
    padded = -(-(padded + rows - original) // padding) * padding
    per_rank = divide(padded, ranks)
    weights: dict[str, Any] = {"weight": (per_rank, given.embedding_dim)}
    if "bias" in vars(given):
        weights["bias"] = (per_rank,) if given.bias else None
    projects = {"with_bias": bool(given.bias)} if "bias" in vars(given) else {}
    return Made(
        weights,
        {
            **projects,
            **{"num_embeddings": rows, "embedding_dim": given.embedding_dim},
            **{"num_embeddings_padded": padded, "num_embeddings_per_partition": per_rank},
            **{"org_vocab_size": original, "tp_size": ranks},
        },
    )


def attention(given: SimpleNamespace, parallel: Any) -> Made:
    """One rank's heads; a KV head of less than one is one."""
    dv = given.v_head_dim
    window = getattr(given, "sliding_window_size", -1)
    kind = getattr(given, "attn_type", None)
    facts = {
        **{"tp_q_head_num": given.num_heads, "tp_k_head_num": given.num_kv_heads},
        **{"tp_v_head_num": given.num_kv_heads, "head_dim": given.head_dim},
        **{"qk_head_dim": given.head_dim, "v_head_dim": given.head_dim if dv == -1 else dv},
        "sliding_window_size": -1 if window is None else window,
        "is_cross_attention": bool(getattr(given, "is_cross_attention", False)),
        **{"scaling": given.scaling, "layer_id": given.layer_id},
        "logit_cap": getattr(given, "logit_cap", 0.0) or 0.0,
        "attn_type": getattr(kind, "value", kind) or "decoder",
    }
    return Made({}, facts)


def linear_attention(given: SimpleNamespace, parallel: Any) -> Made:
    names = ("layer_id", "num_q_heads", "num_k_heads", "num_v_heads", "head_q_dim", "head_k_dim")
    return Made({}, {name: getattr(given, name, None) for name in (*names, "head_v_dim")})


def experts(given: SimpleNamespace, parallel: Any) -> Made:
    """Routed experts are split over expert-parallel ranks, shared ones are on each."""
    shared = getattr(given, "num_fused_shared_experts", 0) or 0
    routed = given.num_experts - shared
    local = divide(routed, parallel.moe_ep_size) + shared
    inner = divide(given.intermediate_size, parallel.moe_tp_size)
    hidden = given.hidden_size
    first = inner * (2 if getattr(given, "is_gated", True) else 1)
    weights: dict[str, Any] = {
        "w13_weight": (local, first, hidden),
        "w2_weight": (local, hidden, inner),
    }
    if getattr(given, "with_bias", False):
        weights["w13_weight_bias"] = (local, first)
        weights["w2_weight_bias"] = (local, hidden)
    facts = {
        **{"num_experts": given.num_experts, "num_local_experts": local, "hidden_size": hidden},
        **{"top_k": given.top_k, "intermediate_size_per_partition": inner},
        **{"intermediate_size": given.intermediate_size, "num_fused_shared_experts": shared},
        "activation": getattr(given, "activation", "silu"),
        "routed_scaling_factor": getattr(given, "routed_scaling_factor", None),
        "layer_id": getattr(given, "layer_id", None),
    }
    return Made(weights, facts)


def top_k(given: SimpleNamespace, parallel: Any) -> Made:
    names = ("top_k", "use_grouped_topk", "num_expert_group", "topk_group", "scoring_func")
    facts = {name: getattr(given, name, None) for name in (*names, "renormalize")}
    shared = getattr(given, "num_fused_shared_experts", None) or parallel.fused_shared_experts
    if isinstance(facts["top_k"], int) and hasattr(given, "num_fused_shared_experts") is False:
        facts["top_k"] += shared
    facts["correction_bias"] = getattr(given, "correction_bias", None) is not None
    return Made({}, facts, attributes={"topk_config": Settable("TopKConfig", **facts)})


def hash_top_k(given: SimpleNamespace, parallel: Any) -> Made:
    facts = {
        **{"top_k": given.topk, "num_experts": given.num_experts},
        "scoring_func": given.scoring_func,
    }
    return Made({"tid2eid": (given.vocab_size, given.topk)}, facts, {"tid2eid": "int32"})


def rotary(given: SimpleNamespace, parallel: Any) -> Made:
    names = ("head_size", "rotary_dim", "is_neox_style", "base", "max_position_embeddings")
    facts = {name: getattr(given, name, None) for name in names}
    share = getattr(given, "partial_rotary_factor", None)
    if isinstance(share, float) and share < 1 and isinstance(facts["rotary_dim"], int):
        facts["rotary_dim"] = int(facts["rotary_dim"] * share)
    return Made({}, facts)


def plain(given: SimpleNamespace, parallel: Any) -> Made:
    """No weights and nothing to tell."""
    return Made({}, {})


def plain_of(*names: str) -> Callable[[SimpleNamespace, Any], Made]:
    return lambda given, parallel: Made({}, {name: getattr(given, name, None) for name in names})


def _rows(module: str, kind: str, **makers: Callable[..., Made]) -> dict[str, Leaf]:
    return {f"sglang.srt.layers.{module}.{name}": Leaf(kind, make) for name, make in makers.items()}


LEAVES: dict[str, Leaf] = {
    **_rows(
        "linear",
        "linear",
        LinearBase=plain,
        ReplicatedLinear=replicated,
        ColumnParallelLinear=column,
        MergedColumnParallelLinear=merged_column,
        QKVParallelLinear=qkv,
        RowParallelLinear=row,
        MergedColumnParallelRepeatedLinear=repeated_column,
        ColumnParallelBatchedLinear=batched_column,
    ),
    **_rows(
        "layernorm",
        "norm",
        RMSNorm=norm,
        LayerNorm=layer_norm,
        GemmaRMSNorm=norm,
        Gemma3RMSNorm=norm,
        Gemma4RMSNorm=norm,
        RMSNormWithoutScale=norm_without_scale,
    ),
    **_rows(
        "vocab_parallel_embedding",
        "embedding",
        VocabParallelEmbedding=embedding,
        ParallelLMHead=embedding,
    ),
    **_rows("radix_attention", "attention", RadixAttention=attention),
    **_rows("radix_linear_attention", "linear attention", RadixLinearAttention=linear_attention),
    **_rows("moe.fused_moe_triton.layer", "experts", FusedMoE=experts),
    **_rows("moe.ep_moe.layer", "experts", DeepEPMoE=experts, EPMoE=experts),
    **_rows("moe.topk", "routing", TopK=top_k),
    **_rows("moe.hash_topk", "routing", HashTopK=hash_top_k),
    **_rows(
        "activation",
        "activation",
        SiluAndMul=plain,
        GeluAndMul=plain,
        NewGELU=plain,
        ReLU2=plain,
        QuickGELU=plain,
    ),
    **_rows("logits_processor", "logits", LogitsProcessor=plain),
    **_rows("pooler", "pooling", Pooler=plain, CrossEncodingPooler=plain),
    **_rows("utils", "missing", PPMissingLayer=plain),
    **_rows("utils.common", "missing", PPMissingLayer=plain),
}
"""Full name of the class -> what it makes."""

_MAMBA = ("num_heads", "head_dim", "ssm_state_size", "n_groups", "tp_size")
_INDEXER = ("n_heads", "head_dim", "index_topk")
BLOCKS: dict[tuple[str, str], tuple[str, tuple[str, ...]]] = {
    ("sglang/srt/layers/attention/mamba/mamba.py", "MambaMixer2"): ("state space", _MAMBA),
    ("sglang/srt/layers/attention/dsa/dsa_indexer.py", "Indexer"): ("indexer", _INDEXER),
    ("sglang/srt/layers/attention/nsa/nsa_indexer.py", "Indexer"): ("indexer", _INDEXER),
}
"""Layers with layers inside that compute something of their own: (file, class) -> what they are and
which of their attributes say how large."""

LEAF_FUNCTIONS: dict[str, tuple[str, Leaf]] = {
    f"sglang.srt.layers.{module}.{function}": ("RotaryEmbedding", Leaf("rope", rotary))
    for module in ("rotary_embedding", "rotary_embedding.factory", "rotary_embedding.utils")
    for function in ("get_rope", "get_rope_cpu", "get_rope_wrapper")
}
"""Functions that return a layer: full name -> class and what it makes."""


__all__ = ["BLOCKS", "LEAF_FUNCTIONS", "LEAVES", "Impossible", "Leaf", "Made", "divide"]
