"""What the bindings of the attention operations share.

FlashInfer's wrappers keep state between calls: `plan` gives page tables and sizes, `run` the
tensors, and the deprecated `forward` sets causal, sm_scale, window_left and logits_soft_cap on the
wrapper just before it calls `run`. What the wrapper held when it ran goes into `Call.layer`, and
wins over the plan.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from flashinfer_bench.ops.binding import Argument, Binding, Bound, Call, Refused

POSITIONAL = (
    "pos_encoding_mode",
    "window_left",
    "logits_soft_cap",
    "q_data_type",
    "kv_data_type",
    "o_data_type",
    "data_type",
    "sm_scale",
    "rope_scale",
    "rope_theta",
    "non_blocking",
    "block_tables",
    "seq_lens",
    "fixed_split_size",
    "disable_split_kv",
    "q_len_per_req",
)
"""Meaning of the decode plan's `*deprecated_positional_args`, in order."""


@dataclass(frozen=True)
class AttentionBinding(Binding):
    """Gives caches their four axes, and page tables the entries that are used."""

    def bind(self, call: Call) -> Bound:
        bound = super().bind(settled(call))
        inputs = dict(bound.inputs)
        if "kv_indices" in inputs:
            inputs["kv_indices"] = used_entries(inputs["kv_indices"], inputs["kv_indptr"])
        if bound.constants.get("page_size") == 1:
            inputs.pop("kv_last_page_len", None)
        return replace(bound, inputs=inputs, derived=bound.derived & inputs.keys())


def page_size_one(binding: AttentionBinding) -> AttentionBinding:
    """The same call with pages of one token, which need no lengths of last pages."""

    def recognise(call: Call) -> Mapping[str, int]:
        constants = dict(binding.recognise(call))
        if constants.pop("page_size") != 1:
            raise Refused(f"{call.api}: pages hold several tokens; 1 expected")
        return {**constants, "page_size": 1}

    inputs = {k: v for k, v in binding.inputs.items() if k != "kv_last_page_len"}
    return replace(binding, inputs=inputs, recognise=recognise)


def settled(call: Call) -> Call:
    """The call with layer facts in place of the plan's, and the cache as two tensors of 4 axes."""
    plan = dict(call.plan)
    positional = plan.pop("deprecated_positional_args", None) or ()
    plan |= {**dict(zip(POSITIONAL, positional)), **(plan.pop("kwargs", None) or {})}
    known = {name for name, value in call.layer.items() if value is not None}
    plan = {name: value for name, value in plan.items() if name not in known}
    run = dict(call.run)
    if run.get("paged_kv_cache") is not None:
        run["paged_kv_cache"] = cache_pair(run["paged_kv_cache"])
    return replace(call, plan=plan, run=run)


def cache_pair(cache: Any) -> tuple[Any, Any]:
    """(k_cache, v_cache), each [num_pages, page_size, num_kv_heads, head_dim].

    Also from one tensor [num_pages, 2, …]; pages of one token may come without their axis.
    """
    pair = cache if isinstance(cache, (tuple, list)) else (cache[:, 0], cache[:, 1])
    k, v = (part[:, None] if len(part.shape) == 3 else part for part in pair)
    return k, v


def used_entries(indices: Any, indptr: Any) -> Any:
    """Page indices up to the last request's end; engines allocate more."""
    if not has_values(indptr) or not hasattr(indices, "__getitem__"):
        return indices
    used = int(indptr[-1].item())
    return indices if indices.shape[0] == used else indices[:used]


def has_values(tensor: Any) -> bool:
    """False for what stands in for a tensor that was not kept."""
    return hasattr(tensor, "__getitem__") and not getattr(tensor, "is_meta", False)


def setting(call: Call, name: str, default: Any = None) -> Any:
    """What the wrapper used: `run`'s argument, else the layer's fact, else `plan`'s argument."""
    value = call.get("run", name, call.layer.get(name))
    return call.get("plan", name, default) if value is None else value


def sm_scale_of(call: Call) -> float | None:
    """The layer's scale, else FlashInfer's default for a plan without one."""
    scale = layer_sm_scale(call)
    return call.run["q"].shape[-1] ** -0.5 if scale is None else scale


def layer_sm_scale(call: Call) -> float | None:
    """The layer's scale."""
    scale = call.layer.get("sm_scale")
    return None if scale is None else float(scale)


SM_SCALE = Argument("plan", "sm_scale", otherwise=sm_scale_of)
SM_SCALE_STATED = Argument("plan", "sm_scale", otherwise=layer_sm_scale)
"""For latent attention, where 1/sqrt(head_dim) is wrong: its scale is that before absorption, and
rope scaling may change it."""

__all__ = [
    "SM_SCALE",
    "SM_SCALE_STATED",
    "AttentionBinding",
    "has_values",
    "page_size_one",
    "setting",
    "settled",
]
