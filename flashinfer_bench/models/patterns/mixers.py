"""What mixes tokens: attention with grouped queries or a latent, gated delta net, state space."""

from __future__ import annotations

import math
from dataclasses import replace

from flashinfer_bench.models.patterns.layers import Layers, block
from flashinfer_bench.models.patterns.plan import LayerPlan
from flashinfer_bench.models.patterns.spellings import Keys
from flashinfer_bench.models.sglang.leaves import divide
from flashinfer_bench.models.tree import ModuleNode

_PLAIN_STATE = {"state head size": 64, "state groups": 1, "expansion": 2, "convolution": 4}
"""Of a state space's configuration that leaves them out."""


def norm(layers: Layers, keys: Keys, name: str, size: int) -> ModuleNode:
    """Root mean square, unless a layer norm is stated."""
    epsilon, other = keys.get("rms epsilon"), keys.get("layer norm epsilon")
    recurrent = keys.states("state size")
    if epsilon is None and other is not None and not keys.get("rms") and not recurrent:
        return layers.layer(name, "LayerNorm", hidden_size=size, eps=other)
    if epsilon is None and other is None:
        keys.note("no norm's epsilon is stated; RMS norms with 1e-6 are assumed")
    return layers.layer(name, "RMSNorm", hidden_size=size, eps=epsilon or other or 1e-6)


def grouped_query_attention(
    layers: Layers, keys: Keys, plan: LayerPlan, layer_id: int
) -> ModuleNode:
    heads, kv_heads, size = _heads(keys, plan.like)
    hidden, gated, normed = keys.need("hidden"), _is_gated(keys), _has_norms(keys)
    q_heads = divide(heads, layers.profile.tp)
    projection = layers.layer(
        "qkv_proj",
        "QKVParallelLinear",
        hidden_size=hidden,
        head_size=size,
        total_num_heads=heads * (2 if gated else 1),
        total_num_kv_heads=kv_heads,
        bias=bool(keys.get("attention bias", False)),
    )
    children = [projection, layers.linear("o_proj", heads * size, hidden, "row")]
    children += _rope(layers, keys, size)
    children.append(
        layers.layer(
            "attn",
            "RadixAttention",
            num_heads=q_heads,
            num_kv_heads=max(1, kv_heads // layers.profile.tp),
            head_dim=size,
            v_head_dim=-1,
            scaling=size**-0.5,
            layer_id=layer_id,
            sliding_window_size=plan.window,
        )
    )
    if normed:
        children += [norm(layers, keys, name, size) for name in ("q_norm", "k_norm")]
    return block("self_attn", "Attention", children)


def _heads(keys: Keys, layer: int) -> tuple[int, int, int]:
    """Query heads, KV heads, and the size of each."""
    heads = keys.need("heads", layer=layer)
    default = 1 if keys.get("one kv head") else heads
    kv_heads = keys.size("kv heads", layer=layer)
    if kv_heads is None:
        keys.note(f"kv heads are not stated; taken as {default}")
    size = keys.size("head size", layer=layer)
    if size is None:
        size = keys.need("hidden") // heads
        keys.note(f"head size is not stated; taken as hidden size / heads = {size}")
    return heads, int(kv_heads or default), int(size)


def _is_gated(keys: Keys) -> bool:
    """Whether queries come with a gate of the attention's output."""
    stated = keys.get("output gate")
    if stated is None and keys.states("linear key heads"):
        keys.note(
            "an output gate and norms of queries and keys are assumed, as is usual beside GDN"
        )
        return True
    return bool(stated)


def _has_norms(keys: Keys) -> bool:
    stated = keys.get("query and key norms")
    if stated is None and keys.states("linear key heads"):
        return True
    if stated is None:
        keys.note("norms of queries and keys are not stated; none are assumed")
    return bool(stated)


def _rope(layers: Layers, keys: Keys, size: int, share: float | None = None) -> list[ModuleNode]:
    base = keys.get("rope base")
    if base is None and not keys.states("rotary share") and not keys.states("rotary size"):
        return []
    share = keys.size("rotary share", 1.0) if share is None else share
    rotary = keys.size("rotary size") or int(size * share)
    return [
        layers.rope(
            "rotary_emb",
            head_size=size,
            rotary_dim=rotary,
            base=base or 10000,
            max_position_embeddings=keys.get("positions"),
        )
    ]


def latent_attention(layers: Layers, keys: Keys, plan: LayerPlan, layer_id: int) -> ModuleNode:
    """Multi-head latent attention, absorbed for decoding and unfolded for long prefills."""
    hidden, heads = keys.need("hidden"), keys.need("heads")
    latent, rope = keys.need("kv latent"), keys.need("head size with rope")
    nope, value = keys.need("head size without rope"), keys.need("value head size")
    children = [
        *_latent_projections(layers, keys, heads * (nope + rope), latent + rope),
        layers.linear("kv_b_proj", latent, heads * (nope + value)),
        layers.linear("o_proj", heads * value, hidden, "row"),
        norm(layers, keys, "kv_a_layernorm", latent),
        *_rope(layers, keys, rope, 1.0),
    ]
    local = divide(heads, layers.profile.tp)
    scaling = (nope + rope) ** -0.5
    for name, kv_heads, size, value_size in (
        ("attn_mqa", 1, latent + rope, latent),
        ("attn_mha", local, nope + rope, value),
    ):
        sizes = {"num_heads": local, "num_kv_heads": kv_heads, "head_dim": size}
        more = {"v_head_dim": value_size, "scaling": scaling, "layer_id": layer_id}
        children.append(layers.layer(name, "RadixAttention", **sizes, **more))
    return block("self_attn", "AttentionMLA", children)


def _latent_projections(
    layers: Layers, keys: Keys, queries: int, compressed: int
) -> list[ModuleNode]:
    """Of the queries, compressed or not, and down to the latent of keys and values."""
    hidden, latent = keys.need("hidden"), keys.size("query latent")
    if not latent:
        return [
            layers.linear("q_proj", hidden, queries),
            layers.linear("kv_a_proj_with_mqa", hidden, compressed, "replicated"),
        ]
    return [
        layers.linear("fused_qkv_a_proj_with_mqa", hidden, latent + compressed, "replicated"),
        norm(layers, keys, "q_a_layernorm", latent),
        layers.linear("q_b_proj", latent, queries),
        *_indexer(layers, keys, hidden, latent),
    ]


def _indexer(layers: Layers, keys: Keys, hidden: int, latent: int) -> list[ModuleNode]:
    """Of sparse attention, where its sizes are stated."""
    heads, size = keys.size("indexer heads"), keys.size("indexer head size")
    if not heads or not size:
        return []
    children = [
        layers.linear("wq_b", latent, heads * size, "replicated"),
        layers.linear("wk", hidden, size, "replicated"),
        layers.linear("weights_proj", hidden, heads, "replicated"),
        layers.layer("k_norm", "LayerNorm", hidden_size=size, eps=1e-6),
    ]
    facts = {"n_heads": heads, "head_dim": size, "index_topk": keys.size("indexer tokens")}
    return [block("indexer", "Indexer", children, role="indexer", facts=facts)]


def gated_delta_net(layers: Layers, keys: Keys, plan: LayerPlan, layer_id: int) -> ModuleNode:
    """Linear attention; without sizes of its own it takes those of attention."""
    sizes, hidden, tp = _linear_sizes(keys), keys.need("hidden"), layers.profile.tp
    k_heads, v_heads, k_size, v_size, kernel = sizes
    wide_k, wide_v = k_heads * k_size, v_heads * v_size
    local_k, local_v = divide(k_heads, tp), divide(v_heads, tp)
    projections = [
        layers.merged("in_proj_qkvz", hidden, [wide_k, wide_k, wide_v, wide_v], False),
        layers.plain("norm", "FusedRMSNormGated", weight=(v_size if kernel else wide_v // tp,)),
        layers.linear("out_proj", wide_v, hidden, "row"),
        layers.layer(
            "attn",
            "RadixLinearAttention",
            layer_id=layer_id,
            **{"num_q_heads": local_k, "num_k_heads": local_k, "num_v_heads": local_v},
            **{"head_q_dim": k_size, "head_k_dim": k_size, "head_v_dim": v_size},
        ),
    ]
    if not kernel:
        return block("linear_attn", "LinearAttention", projections)
    convolution = _convolution(layers, kernel, [wide_k, wide_k, wide_v], False)
    gates = layers.merged("in_proj_ba", hidden, [v_heads, v_heads], False)
    weights = [layers.weight("dt_bias", (local_v,)), layers.weight("A_log", (local_v,), "float32")]
    inside = [convolution, projections[0], gates, *projections[1:]]
    return block("linear_attn", "GatedDeltaNet", inside, weights=weights)


def _linear_sizes(keys: Keys) -> tuple[int, int, int, int, int]:
    """Key heads, value heads, sizes of both, and how many tokens the convolution sees."""
    if not keys.states("linear key heads"):
        heads, _, size = _heads(keys, 0)
        keys.note("sizes of linear attention are not stated; those of attention and no convolution")
        return heads, heads, size, size, 0
    names = ("linear key heads", "linear value heads")
    sizes = ("linear key head size", "linear value head size")
    key_heads, value_heads, key_size, value_size = [keys.need(it) for it in (*names, *sizes)]
    return key_heads, value_heads, key_size, value_size, keys.size("linear convolution", 4)


def _convolution(layers: Layers, kernel: int, outputs: list[int], bias: bool) -> ModuleNode:
    """Over time, one channel each; SGLang keeps it as a linear layer with one more dimension."""
    made = layers.merged("conv1d", kernel, outputs, bias)
    weights = [
        layers.weight(it.name, (it.shape[0], 1, kernel) if it.name == "weight" else it.shape)
        for it in made.weights
        if it.shape is not None
    ]
    return replace(made, weights=weights)


def state_space(layers: Layers, keys: Keys, plan: LayerPlan, layer_id: int) -> ModuleNode:
    """Mamba with scalar decays by heads, or, with a rank of time steps and no heads, the first."""
    return _second(layers, keys) if _has_heads(keys) else _first(layers, keys)


def _has_heads(keys: Keys) -> bool:
    layer = keys.get("state layer")
    named = isinstance(layer, str) and layer.endswith("2")
    return keys.states("state heads") or keys.states("state groups") or named


def _inner(keys: Keys, hidden: int) -> int:
    heads, size = keys.size("state heads"), keys.size("state head size")
    if heads and size:
        return int(heads * size)
    stated = keys.size("state inner")
    if stated is None and not keys.states("heads"):
        stated = keys.size("inner")  # there is no feed-forward part that it could mean
    return int(stated or hidden * keys.size("expansion", _PLAIN_STATE["expansion"]))


def _second(layers: Layers, keys: Keys) -> ModuleNode:
    hidden, tp = keys.need("hidden"), layers.profile.tp
    inner = _inner(keys, hidden)
    size = int(keys.assume("state head size", _PLAIN_STATE["state head size"], "the usual one"))
    heads = int(keys.size("state heads") or inner // size)
    state = int(keys.assume("state size", 128, "the usual one"))
    groups = int(keys.size("state groups", _PLAIN_STATE["state groups"]))
    groups = groups if groups % tp == 0 else tp  # one group is repeated on each rank
    kernel = int(keys.size("convolution", _PLAIN_STATE["convolution"]))
    wide, local = groups * state, divide(heads, tp)
    bias = bool(keys.get("convolution bias", True))
    children = [
        _convolution(layers, kernel, [inner, wide, wide], bias),
        layers.merged("in_proj", hidden, [inner, inner, wide, wide, heads], False),
        layers.linear("out_proj", inner, hidden, "row"),
        layers.plain("norm", "Mixer2RMSNormGated", weight=(inner // tp,)),
    ]
    weights = [layers.weight("A", (local,), "float32")]
    weights += [layers.weight(name, (local,)) for name in ("D", "dt_bias")]
    facts = {"num_heads": heads, "head_dim": size, "ssm_state_size": state, "n_groups": groups}
    facts["tp_size"] = tp
    return block("mixer", "MambaMixer2", children, role="state space", facts=facts, weights=weights)


def _first(layers: Layers, keys: Keys) -> ModuleNode:
    hidden, tp = keys.need("hidden"), layers.profile.tp
    inner = _inner(keys, hidden)
    state, rank = keys.need("state size"), keys.size("time step rank") or math.ceil(hidden / 16)
    kernel = int(keys.size("convolution", _PLAIN_STATE["convolution"]))
    bias = bool(keys.get("convolution bias", True))
    step = {"input_size": rank, "output_size": inner, "bias": True}
    children = [
        layers.merged("in_proj", hidden, [inner, inner], False),
        _convolution(layers, kernel, [inner], bias),
        layers.linear("x_proj", inner, rank + 2 * state, "row"),
        layers.layer("dt_proj", "ColumnParallelLinear", **step),
        layers.linear("out_proj", inner, hidden, "row"),
    ]
    local = divide(inner, tp)
    weights = [layers.weight("A_log", (local, state), "float32"), layers.weight("D", (local,))]
    return block("mixer", "MambaMixer1", children, weights=weights)


__all__ = [
    "gated_delta_net",
    "grouped_query_attention",
    "latent_attention",
    "norm",
    "state_space",
]
