"""What makes a call none of the attention operations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flashinfer_bench.ops.attention.binding import setting
from flashinfer_bench.ops.attention.tensors import DTYPE
from flashinfer_bench.ops.binding import Call, Refused

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


__all__ = ["refuse_unsupported", "require_causal", "require_planned", "require_tensor"]
