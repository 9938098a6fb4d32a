"""What the bindings of the attention operations share.

FlashInfer's wrappers keep state between calls: `plan` gives page tables and sizes, `run` the
tensors, and the deprecated `forward` sets causal, sm_scale, window_left and logits_soft_cap on the
wrapper just before it calls `run`. What the wrapper held when it ran goes into `Call.layer`, and
wins over the plan.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from flashinfer_bench.ops.binding import Argument, Binding, Bound, Call, Refused

DTYPE = "bfloat16"

UNSUPPORTED = {
    "custom_mask": "a custom mask",
    "packed_custom_mask": "a custom mask",
    "prefix_len_ptr": "a mask for multi-item scoring",
    "token_pos_in_items_ptr": "a mask for multi-item scoring",
    "max_item_len_ptr": "a mask for multi-item scoring",
    "v_indptr": "values of other lengths than the keys",
    "o_indptr": "outputs of other lengths than the queries",
    "sinks": "attention sinks",
    "kv_cache_sf": "a cache with block scales",
    "skip_softmax_threshold_scale_factor": "skipping of small weights",
    "args": "arguments of a custom variant",
    "kv_len": "a page table given to run",
    "page_table": "a page table given to run",
    "metadata": "a metadata object (give plan its flat arguments)",
}
SCALES = ("q_scale", "k_scale", "v_scale", "o_scale")
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
    scale = call.layer.get("sm_scale")
    return None if scale is None else float(scale)


SM_SCALE = Argument("plan", "sm_scale", otherwise=sm_scale_of)
SM_SCALE_STATED = Argument("plan", "sm_scale", otherwise=layer_sm_scale)
"""For latent attention, where 1/sqrt(head_dim) is wrong: its scale is that before absorption, and
rope scaling may change it."""


def refuse_unsupported(call: Call) -> None:
    """Raises Refused for what no operation here computes."""
    for arguments in (call.run, call.plan):
        for name, what in UNSUPPORTED.items():
            value = arguments.get(name)
            if value is not None and not (name == "args" and len(value) == 0):
                raise Refused(f"{call.api}: {what} ({name}) is not part of this operation")
    for name in SCALES:
        scale = call.get("run", name)
        if scale is not None and (hasattr(scale, "shape") or scale != 1):
            raise Refused(f"{call.api}: {name} is {scale}; 1 expected")
    encoding = call.get("plan", "pos_encoding_mode", "NONE")
    if encoding != "NONE":
        raise Refused(f"{call.api}: pos_encoding_mode is {encoding!r}; 'NONE' expected")


def require_tensor(call: Call, name: str, tensor: Any, axes: int) -> None:
    """Raises Refused unless a tensor is bfloat16 with so many axes."""
    if tensor is None:
        raise Refused(f"{call.api}: run was given no {name!r}")
    if len(tensor.shape) != axes:
        raise Refused(f"{call.api}: {name} has shape {list(tensor.shape)}; {axes} axes expected")
    if str(tensor.dtype).rpartition(".")[2] != DTYPE:
        raise Refused(f"{call.api}: {name} is {tensor.dtype}; {DTYPE} expected")


def require_planned(call: Call, constants: Mapping[str, int], **planned: str) -> None:
    """Raises Refused where tensors differ from the sizes that `plan` was given."""
    for name, argument in planned.items():
        size = call.get("plan", argument)
        if size is not None and size != constants[name]:
            raise Refused(
                f"{call.api}: {name} is {constants[name]} by the tensors, {size} by the plan"
            )


def require_causal(call: Call, presumed: bool = False) -> None:
    """Raises Refused unless a prefill is causal; `presumed` where neither layer nor plan says."""
    causal = setting(call, "causal")
    if causal is None and not presumed:
        raise Refused(f"{call.api}: neither plan nor layer says whether it is causal")
    if causal is not None and not causal:
        raise Refused(f"{call.api}: not causal; causal prefill expected")


def ragged_sizes(call: Call) -> tuple[int, int, int, int]:
    """Heads of queries, heads of keys, dimensions of keys and of values."""
    refuse_unsupported(call)
    q, k, v = (call.get("run", name) for name in "qkv")
    for name, tensor in zip("qkv", (q, k, v)):
        require_tensor(call, name, tensor, 3)
    if k.shape[:2] != v.shape[:2] or q.shape[2] != k.shape[2]:
        shapes = [list(tensor.shape) for tensor in (q, k, v)]
        raise Refused(f"{call.api}: shapes of q, k and v do not fit: {shapes}")
    names = ("num_qo_heads", "num_kv_heads", "head_dim_qk", "head_dim_vo")
    sizes = (int(q.shape[1]), int(k.shape[1]), int(q.shape[2]), int(v.shape[2]))
    require_planned(call, dict(zip(names, sizes)), **{name: name for name in names})
    return sizes


def ragged_binding(
    recognise: Callable[[Call], Mapping[str, int]], sm_scale: Argument
) -> AttentionBinding:
    """The wrapper for ragged keys, which serves grouped-query and latent attention."""
    inputs = {
        **{name: Argument("run", name) for name in "qkv"},
        **{name: Argument("plan", name) for name in ("qo_indptr", "kv_indptr")},
        "sm_scale": sm_scale,
    }
    api = "flashinfer.prefill.BatchPrefillWithRaggedKVCacheWrapper.run"
    return AttentionBinding(
        (api,),
        inputs,
        lambda call: recognise(settled(call)),
        plan="plan",
        note="plan with causal=True",
    )


def same_lengths(call: Call) -> bool:
    """Whether each request has as many keys as queries: attention of a prompt to itself."""
    queries, keys = call.get("plan", "qo_indptr"), call.get("plan", "kv_indptr")
    if queries is None or keys is None or call.run["q"].shape[0] != call.run["k"].shape[0]:
        return False
    if not (has_values(queries) and has_values(keys)):
        return bool(queries.shape[0] == keys.shape[0])
    return queries.tolist() == keys.tolist()  # type: ignore[no-any-return]


def variant(call: Call) -> dict[str, int]:
    """The constants of a sliding window and a soft cap, where there are any."""
    constants = {}
    window = int(setting(call, "window_left", -1))
    if window >= 0:
        constants["window_left"] = window
    cap = float(setting(call, "logits_soft_cap", 0.0))
    if cap > 0:
        if not cap.is_integer():
            raise Refused(f"{call.api}: logits_soft_cap is {cap}; a whole number expected")
        constants["logits_soft_cap"] = int(cap)
    return constants


__all__ = [
    "SM_SCALE",
    "SM_SCALE_STATED",
    "AttentionBinding",
    "cache_pair",
    "has_values",
    "page_size_one",
    "ragged_binding",
    "ragged_sizes",
    "refuse_unsupported",
    "require_causal",
    "require_planned",
    "require_tensor",
    "same_lengths",
    "setting",
    "settled",
    "used_entries",
    "variant",
]
