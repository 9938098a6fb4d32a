"""What transforms each token alone: a dense feed-forward part, or experts behind a router."""

from __future__ import annotations

from dataclasses import replace

from flashinfer_bench.models.patterns.layers import Layers, block
from flashinfer_bench.models.patterns.plan import LayerPlan
from flashinfer_bench.models.patterns.spellings import Keys
from flashinfer_bench.models.tree import ModuleNode

_GATED = ("silu", "swish", "swiglu", "geglu")
_PLAIN_CLASSES = {"relu2": "ReLU2", "gelu_new": "NewGELU", "quick_gelu": "QuickGELU"}
"""Activation of a part without gate -> SGLang's layer."""


def is_gated(keys: Keys) -> bool:
    """Whether a feed-forward part multiplies two projections; else it has one."""
    stated = keys.get("gated")
    if isinstance(stated, bool):
        return stated
    activation = keys.get("activation")
    has_rms = keys.get("rms epsilon") is not None or bool(keys.get("rms"))
    if activation is None:
        keys.note(f"the activation is not stated; a {'gated' if has_rms else 'plain'} MLP assumed")
        return has_rms
    name = str(activation)
    return name.startswith(_GATED) or (name.startswith("gelu") and has_rms)


def dense(layers: Layers, keys: Keys, plan: LayerPlan) -> ModuleNode:
    hidden = keys.need("hidden")
    inner = keys.size("dense inner")
    if inner is None and not keys.size("experts") and not keys.size("inner", layer=plan.like):
        inner = keys.size("shared inner")
    inner = inner or keys.size("inner", layer=plan.like)
    if inner is None and keys.states("inner"):
        keys.note("inner is null; taken as 4 times the hidden size")
        inner = 4 * hidden
    return _mlp(layers, keys, "mlp", inner or keys.need("inner", layer=plan.like))


def _mlp(layers: Layers, keys: Keys, name: str, inner: int) -> ModuleNode:
    hidden, bias = keys.need("hidden"), bool(keys.get("mlp bias", False))
    activation = str(keys.get("activation") or "silu")
    down = layers.layer(
        "down_proj", "RowParallelLinear", input_size=inner, output_size=hidden, bias=bias
    )
    if is_gated(keys):
        act = "GeluAndMul" if activation.startswith("ge") else "SiluAndMul"
        up = layers.merged("gate_up_proj", hidden, [inner, inner], bias)
    else:
        act = _PLAIN_CLASSES.get(activation, "")
        up = layers.layer(
            "up_proj", "ColumnParallelLinear", input_size=hidden, output_size=inner, bias=bias
        )
    last = layers.layer("act_fn", act) if act else layers.plain("act_fn", activation)
    return block(name, "MLP", [up, down, last])


def sparse(layers: Layers, keys: Keys, plan: LayerPlan, layer_id: int) -> ModuleNode:
    """Routed experts, with shared ones beside them where their number or size is stated."""
    hidden, count = keys.need("hidden"), keys.need("experts")
    chosen = keys.need("experts per token", layer=plan.like)
    inner, latent = keys.need("expert inner", layer=plan.like), keys.size("latent experts")
    scaling, corrected = keys.get("scaling"), _is_corrected(keys)
    gate = layers.linear("gate", hidden, count, "replicated")
    if corrected:
        bias = layers.weight("e_score_correction_bias", (count,), "float32")
        gate = replace(gate, weights=[*gate.weights, bias])
    sizes = {"num_experts": count, "hidden_size": latent or hidden, "top_k": chosen}
    experts = layers.layer(
        "experts",
        "FusedMoE",
        intermediate_size=inner,
        layer_id=layer_id,
        is_gated=is_gated(keys),
        activation=str(keys.get("activation") or "silu"),
        routed_scaling_factor=scaling,
        **sizes,
    )
    children = [gate, experts, _top_k(layers, keys, chosen, corrected)]
    if latent:
        children += [
            layers.linear("fc1_latent_proj", hidden, latent, "replicated"),
            layers.linear("fc2_latent_proj", latent, hidden, "replicated"),
        ]
    return block("mlp", "SparseMoeBlock", [*children, *_shared(layers, keys, inner)])


def _is_corrected(keys: Keys) -> bool:
    """Whether experts are chosen with a bias that does not weigh them."""
    stated = keys.get("selection bias")
    if stated is None:
        return bool(keys.get("selection") == "noaux_tc")
    return bool(stated)


def _top_k(layers: Layers, keys: Keys, chosen: int, corrected: bool) -> ModuleNode:
    groups = keys.size("expert groups")
    return layers.layer(
        "topk",
        "TopK",
        top_k=chosen,
        use_grouped_topk=bool(groups),
        num_expert_group=groups,
        topk_group=keys.size("chosen groups"),
        scoring_func=keys.get("scoring") or ("sigmoid" if corrected else "softmax"),
        renormalize=bool(keys.get("renormalises", True)),
        correction_bias=True if corrected else None,
        num_fused_shared_experts=0,
    )


def _shared(layers: Layers, keys: Keys, inner: int) -> list[ModuleNode]:
    hidden, gated = keys.need("hidden"), keys.size("gated shared inner")
    if gated:
        gate = layers.plain("shared_expert_gate", "Linear", weight=(1, hidden))
        return [_mlp(layers, keys, "shared_expert", gated), gate]
    size = keys.size("shared inner")
    if size is None:
        size = inner * (keys.size("shared experts") or 0)
    return [_mlp(layers, keys, "shared_experts", size)] if size else []


__all__ = ["dense", "is_gated", "sparse"]
