"""Tensors of attention operations, from the axes that one token has in them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from flashinfer_bench.ops.contract import Interface, Lengths, Tensor

if TYPE_CHECKING:
    from flashinfer_bench.ops.draw import Draw

DTYPE = "bfloat16"
QO_INDPTR = Tensor(("len_indptr",), "int32", "where each request's queries begin, and the end")
KV_INDPTR = Tensor(("len_indptr",), "int32", "where each request's keys begin, and the end")
KV_PAGES_INDPTR = Tensor(
    ("len_indptr",), "int32", "where each request's pages begin in kv_indices, and the end"
)
KV_INDICES = Tensor(("num_kv_indices",), "int32", "pages of all requests, in order")
KV_LAST_PAGE_LEN = Tensor(
    ("batch_size",), "int32", "tokens in each request's last page, 0 where it has no page"
)
SM_SCALE = Tensor(None, "float32", "factor of the logits, before the softmax")
_LSE = "log-sum-exp of each query's logits, to base 2; -inf where it sees no key"

Axes = tuple[str, ...]


def per_token(places: Axes, tensors: Mapping[str, Axes]) -> dict[str, Tensor]:
    """Tensors whose first axes are `places` of tokens."""
    return {name: Tensor((*places, *axes), DTYPE) for name, axes in tensors.items()}


def outputs(rows: str, value: Axes) -> dict[str, Tensor]:
    """The output, and the log-sum-exp of each query and head."""
    lse = Tensor((rows, value[0]), "float32", _LSE)
    return {"output": Tensor((rows, *value), DTYPE), "lse": lse}


def axis_lengths(interface: Interface, lengths: Lengths) -> dict[str, int]:
    """All axes of one call."""
    constant = {axis: length for axis, length in interface.axes.items() if length is not None}
    return {**constant, **lengths}


def draw_values(draw: Draw, interface: Interface, lengths: Lengths) -> dict[str, Any]:
    """The bfloat16 inputs in their order, normally distributed."""
    import torch

    sizes = axis_lengths(interface, lengths)
    return {
        name: draw.normal([sizes[axis] for axis in spec.axes], torch.bfloat16)
        for name, spec in interface.inputs.items()
        if spec.axes is not None and spec.dtype == DTYPE
    }


__all__ = [
    "DTYPE",
    "KV_INDICES",
    "KV_INDPTR",
    "KV_LAST_PAGE_LEN",
    "KV_PAGES_INDPTR",
    "QO_INDPTR",
    "SM_SCALE",
    "Axes",
    "axis_lengths",
    "draw_values",
    "outputs",
    "per_token",
]
