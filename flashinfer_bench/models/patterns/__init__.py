"""A module tree from a configuration alone, where neither SGLang nor transformers has the model.

The layers are SGLang's, made by the same makers; which ones, in which order and how large is read
from the keys of config.json by generic patterns, and every assumption is a note.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from flashinfer_bench.errors import DataError
from flashinfer_bench.models.evaluator.values import NOWHERE
from flashinfer_bench.models.patterns.feed_forward import dense, sparse
from flashinfer_bench.models.patterns.layers import VOCABULARY_PADDING, Layers, block
from flashinfer_bench.models.patterns.mixers import (
    gated_delta_net,
    grouped_query_attention,
    latent_attention,
    norm,
    state_space,
)
from flashinfer_bench.models.patterns.plan import LayerPlan, Mixer, plan_layers
from flashinfer_bench.models.patterns.spellings import Keys
from flashinfer_bench.models.serving import ServingProfile
from flashinfer_bench.models.sglang.build import ModelTree
from flashinfer_bench.models.sglang.dtypes import model_dtype
from flashinfer_bench.models.sglang.index import Architecture
from flashinfer_bench.models.sglang.leaves import Impossible
from flashinfer_bench.models.sglang.nodes import merged
from flashinfer_bench.models.tree import ModuleNode

_MIXERS: dict[Mixer, Callable[[Layers, Keys, LayerPlan, int], ModuleNode]] = {
    "gqa": grouped_query_attention,
    "mla": latent_attention,
    "gdn": gated_delta_net,
    "mamba": state_space,
}
_UNREADABLE = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What values of another type or range than expected lead to."""
_TITLES = {
    **{"gqa": "GQA", "mla": "MLA", "gdn": "GDN", "mamba": "Mamba"},
    **{"mlp": "dense MLP", "moe": "MoE"},
}


def build_pattern_tree(
    config: Mapping[str, Any],
    profile: ServingProfile | None = None,
    *,
    architecture: str | None = None,
) -> ModelTree:
    """The tree that the keys of a config.json suggest; its notes list what is assumed.

    Raises DataError that names a missing key with its spellings, or what does not divide.
    """
    profile, keys = profile or ServingProfile(), Keys.of(config)
    listed = config.get("architectures")
    name = architecture or (str(listed[0]) if listed and isinstance(listed, list) else "Model")
    layers = Layers(profile, model_dtype(keys.outer, keys.config))
    try:
        plans = plan_layers(keys)
        children = _children(layers, keys, plans)
    except Impossible as error:
        partition = f"tp {profile.tp}, ep {profile.ep}"
        raise DataError(f"{name} cannot be split over {partition}: {error}") from error
    except DataError:
        raise
    except _UNREADABLE as error:
        raise DataError(f"{name}: no pattern can read these sizes: {error!r}") from error
    root = block("", name, children)
    kinds = f"pattern from config.json: {describe_plans(plans)}"
    place = Architecture(name, NOWHERE.file, NOWHERE.file, NOWHERE.line)
    return ModelTree(place, profile, root, notes=[kinds, *keys.notes])


def describe_plans(plans: list[LayerPlan]) -> str:
    """E.g. `3 layers of MLA and dense MLP, 58 layers of MLA and MoE`."""
    kinds: dict[str, int] = {}
    for plan in plans:
        parts = [_TITLES[it] for it in (*plan.mixers, plan.feed_forward) if it]
        kinds[" and ".join(parts)] = kinds.get(" and ".join(parts), 0) + 1
    return ", ".join(f"{count} layers of {parts}" for parts, count in kinds.items())


def _children(layers: Layers, keys: Keys, plans: list[LayerPlan]) -> list[ModuleNode]:
    hidden, rows = keys.need("hidden"), keys.need("vocabulary")
    multiple = int(keys.size("vocabulary multiple", 1))
    sizes = {"num_embeddings": -(-rows // multiple) * multiple, "embedding_dim": hidden}
    sizes["padding_size"] = VOCABULARY_PADDING
    embed = layers.layer("embed_tokens", "VocabParallelEmbedding", org_num_embeddings=None, **sizes)
    items = block("layers", "ModuleList", merged(_items(layers, keys, plans)))
    model = block("model", "Model", [embed, items, norm(layers, keys, "norm", hidden)])
    flat = keys.config is keys.outer
    if keys.assume("tied", flat, "a configuration leaves out transformers' default"):
        tied = [replace(it, tied=True) for it in embed.weights]
        head = replace(embed, name="lm_head", weights=tied, shared=True)
    else:
        head = layers.layer(
            "lm_head", "ParallelLMHead", org_num_embeddings=None, bias=False, **sizes
        )
    return [model, head, layers.layer("logits_processor", "LogitsProcessor")]


def _items(layers: Layers, keys: Keys, plans: list[LayerPlan]) -> list[ModuleNode]:
    """Every layer, each different one made once."""
    made: dict[LayerPlan, ModuleNode] = {}
    for at, plan in enumerate(plans):
        if plan not in made:
            made[plan] = _layer(layers, keys, plan, at)
    return [replace(made[plan], name=str(at)) for at, plan in enumerate(plans)]


def _layer(layers: Layers, keys: Keys, plan: LayerPlan, at: int) -> ModuleNode:
    """With a norm before the mixer and one before the feed-forward part, where it has these."""
    parts = [_MIXERS[it](layers, keys, plan, at) for it in plan.mixers]
    if plan.feed_forward == "moe":
        parts.append(sparse(layers, keys, plan, at))
    elif plan.feed_forward == "mlp":
        parts.append(dense(layers, keys, plan))
    names = ["input_layernorm"] if plan.mixers else []
    names += ["post_attention_layernorm"] if plan.feed_forward else []
    names = ["norm"] if len(names) == 1 else names
    hidden = keys.need("hidden")
    return block(
        str(at), "DecoderLayer", [*parts, *(norm(layers, keys, it, hidden) for it in names)]
    )


__all__ = ["build_pattern_tree", "describe_plans"]
