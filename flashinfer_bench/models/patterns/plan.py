"""Which pattern each layer follows, decided by the keys of a configuration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from flashinfer_bench.errors import DataError
from flashinfer_bench.models.patterns.spellings import Keys

Mixer = Literal["gqa", "mla", "gdn", "mamba"]
FeedForward = Literal["mlp", "moe"]

_KINDS: dict[str, Mixer] = {
    **{"full_attention": "gqa", "sliding_attention": "gqa", "chunked_attention": "gqa"},
    **{"attention": "gqa", "linear_attention": "gdn", "mamba": "mamba", "mamba2": "mamba"},
    **{"sparse_attention": "gqa", "deepseek_sparse_attention": "gqa", "0": "gdn", "1": "gqa"},
    **{"hybrid": "mamba", "recurrent": "mamba"},
}
"""What lists of layer kinds call the mixers."""
_WINDOWED = frozenset({"sliding_attention", "chunked_attention"})
_LETTERS: dict[str, tuple[Mixer | None, FeedForward | None]] = {
    "M": ("mamba", None),
    "*": ("gqa", None),
    "-": (None, "mlp"),
    "E": (None, "moe"),
}


@dataclass(frozen=True)
class LayerPlan:
    """What one layer is made of; equal plans give equal layers."""

    mixers: tuple[Mixer, ...]
    feed_forward: FeedForward | None
    window: int = -1
    """Tokens before the newest one that are seen; -1 for all."""
    like: int = 0
    """A layer whose entries in lists of sizes it shares."""


def plan_layers(keys: Keys) -> list[LayerPlan]:
    """One plan for each layer; raises DataError where a layer has no pattern."""
    if keys.get("blocks"):
        raise DataError(
            "`block_configs` gives each layer a shape of its own, for which no pattern is"
        )
    letters = keys.get("letters")
    if isinstance(letters, str):
        return [_of_letter(it, keys) for it in letters]
    count = keys.need("layers")
    mixers, feeds = _mixers(keys, count), _feed_forwards(keys, count)
    plans = []
    for at in range(count):
        mixer = mixers(at)
        window = _window(keys, at) if "gqa" in mixer else -1
        plans.append(LayerPlan(mixer, feeds(at), window, _like(keys, at)))
    return plans


def _of_letter(letter: str, keys: Keys) -> LayerPlan:
    if letter not in _LETTERS:
        raise DataError(f"layer kind {letter!r} has no pattern; known are {' '.join(_LETTERS)}")
    mixer, feed = _LETTERS[letter]
    return LayerPlan((_attention(keys) if mixer == "gqa" else mixer,) if mixer else (), feed)


def _attention(keys: Keys) -> Mixer:
    return "mla" if keys.size("kv latent") else "gqa"


def has_state_space(keys: Keys) -> bool:
    """Whether any layer has a state space."""
    return keys.states("state size") or keys.get("state layer") is not None


def _mixers(keys: Keys, count: int) -> Callable[[int], tuple[Mixer, ...]]:
    attention = _attention(keys)
    other: Mixer = "mamba" if has_state_space(keys) else "gdn"
    kinds, listed = keys.get("layer kinds"), keys.get("attention layers")
    if isinstance(kinds, list) and len(kinds) >= count:
        return lambda at: (_mixer_of(kinds[at], attention),)
    if listed is not None:
        return lambda at: (attention if at in listed else other,)
    every = keys.size("full attention every")
    if every and keys.states("linear key heads"):
        return lambda at: (attention if at % every == every - 1 else "gdn",)
    period, first = keys.size("attention every"), keys.size("attention from", 0)
    if period:
        return lambda at: (attention if at % period == first else other,)
    if other == "mamba":
        if not keys.states("heads"):
            return lambda at: ("mamba",)
        keys.note("which layers have attention is not stated; each has attention and a state space")
        return lambda at: (attention, "mamba")
    return lambda at: (attention,)


def _mixer_of(kind: Any, attention: Mixer) -> Mixer:
    found = _KINDS.get(str(kind))
    if found is None:
        known = ", ".join(key for key in _KINDS if len(key) > 1)
        raise DataError(f"layer kind {kind!r} has no pattern; known are {known}")
    return attention if found == "gqa" else found


def _feed_forwards(keys: Keys, count: int) -> Callable[[int], FeedForward | None]:
    """By layer; the inverse of how configurations say which layers are dense."""
    if has_state_space(keys) and (not keys.states("heads") or keys.get("inner") == 0):
        return lambda at: None
    if not keys.size("experts") or keys.get("has experts") is False:
        return lambda at: "mlp"
    chosen = _sparse(keys, count)
    return lambda at: "moe" if chosen(at) else "mlp"


def _sparse(keys: Keys, count: int) -> Callable[[int], bool]:
    kinds, layers = keys.get("feed-forward kinds"), keys.get("moe layers")
    if isinstance(kinds, list) and len(kinds) >= count:
        return lambda at: kinds[at] == "sparse"
    if isinstance(layers, list):
        return lambda at: at in layers
    period, first = keys.size("moe period"), keys.size("moe from", 0)
    if period:
        return lambda at: at % period == first
    frequency = keys.get("moe frequency", 1)
    if isinstance(frequency, list):
        return lambda at: bool(frequency[at])
    dense, leading = keys.get("dense layers") or [], keys.size("leading dense", 0)
    step = keys.size("moe step", 1) or 1
    return lambda at: (
        at >= leading and at % frequency == 0 and (at + 1) % step == 0 and at not in dense
    )


def _window(keys: Keys, layer: int) -> int:
    """As SGLang counts: tokens before the newest one."""
    window = keys.size("window")
    kinds, pattern = keys.get("layer kinds"), keys.get("window pattern")
    if not window or keys.get("uses window") is False:
        return -1
    if isinstance(kinds, list) and any(str(it) in _WINDOWED for it in kinds):
        return int(window) - 1 if str(kinds[layer]) in _WINDOWED else -1
    if isinstance(pattern, int) and pattern > 1:
        return int(window) - 1 if (layer + 1) % pattern else -1
    if isinstance(kinds, list):
        return -1
    keys.note(f"a window of {window} tokens is stated without layers; taken for all of them")
    return int(window) - 1


def _like(keys: Keys, layer: int) -> int:
    """The first layer that has the same entries in all lists of sizes."""

    def entries(at: int) -> list[Any]:
        return [keys.size(it, layer=at) for it in ("heads", "kv heads", "head size", "inner")]

    same = (at for at in range(layer) if entries(at) == entries(layer))
    return next(same, layer)


__all__ = ["FeedForward", "LayerPlan", "Mixer", "has_state_space", "plan_layers"]
