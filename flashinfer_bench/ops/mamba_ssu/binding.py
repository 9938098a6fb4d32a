"""FlashInfer's selective state update, as Mamba-2 calls it for one token of each request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flashinfer_bench.ops.binding import Argument, Binding, Call, Refused

DTYPE = "bfloat16"
_UNSUPPORTED = (
    "z",
    "state_scale",
    "disable_state_update",
    "intermediate_states_buffer",
    "intermediate_state_indices",
    "intermediate_state_scales",
    "rand_seed",
    "cache_steps",
    "dst_state_batch_indices",
    "cu_seqlens",
    "num_accepted_tokens",
)
_DTYPES = {
    **dict.fromkeys(("state", "x", "dt", "B", "C", "D", "dt_bias"), DTYPE),
    "A": "float32",
}


def _recognise(call: Call) -> Mapping[str, int]:
    for name in _UNSUPPORTED:
        value = call.get("run", name)
        if value is not None and (hasattr(value, "shape") or value):
            raise Refused(f"{call.api}: {name} is given; it is not part of this operation")
    if not call.get("run", "dt_softplus", False):
        raise Refused(f"{call.api}: dt without softplus; dt_softplus=True expected")
    if int(call.get("run", "pad_slot_id", -1)) != -1:
        raise Refused(f"{call.api}: pad_slot_id is {call.run['pad_slot_id']}; -1 expected")
    shapes = {name: _shape(call, name, dtype) for name, dtype in _DTYPES.items()}
    if len(shapes["state"]) != 4 or len(shapes["B"]) != 3:
        raise Refused(f"{call.api}: states of several heads and groups expected, got {shapes}")
    _, heads, dim, dstate = shapes["state"]
    batch, groups = shapes["B"][:2]
    wanted = {
        **{name: [batch, heads, dim] for name in ("x", "dt")},
        **{name: [batch, groups, dstate] for name in ("B", "C")},
        **{name: [heads, dim] for name in ("D", "dt_bias")},
        "A": [heads, dim, dstate],
    }
    wrong = [name for name, shape in wanted.items() if shapes[name] != shape]
    if wrong or heads % groups:
        raise Refused(f"{call.api}: shapes do not fit to those of state and B: {shapes}")
    if call.get("run", "state_batch_indices") is not None:
        indices = _shape(call, "state_batch_indices", "int32")
        if indices != [batch]:
            raise Refused(f"{call.api}: state_batch_indices is {indices}; [{batch}] expected")
    return {"nheads": heads, "head_dim": dim, "dstate": dstate, "ngroups": groups}


def _shape(call: Call, name: str, dtype: str) -> list[int]:
    """Raises Refused where the tensor is missing or of another dtype."""
    tensor = call.get("run", name)
    if tensor is None:
        raise Refused(f"{call.api}: run was given no {name!r}")
    if str(tensor.dtype).rpartition(".")[2] != dtype:
        raise Refused(f"{call.api}: {name} is {tensor.dtype}; {dtype} expected")
    return [int(length) for length in tensor.shape]


def _slots_in_order(call: Call) -> Any:
    """Without indices, the state of each request stands at its place in the batch."""
    import torch

    x = call.run["x"]
    return torch.arange(x.shape[0], dtype=torch.int32, device=getattr(x, "device", None))


_NAMES = ("state", "x", "dt", "A", "B", "C", "D", "dt_bias")
SELECTIVE_STATE_UPDATE = Binding(
    (
        "flashinfer.mamba.selective_state_update",
        "flashinfer.mamba.selective_state_update.selective_state_update",
    ),
    {
        **{name: Argument("run", name) for name in _NAMES},
        "state_batch_indices": Argument("run", "state_batch_indices", otherwise=_slots_in_order),
    },
    _recognise,
    note="with dt_softplus=True; state is overwritten with new_state; dt, A, D and dt_bias have to "
    "be views of one value for each head, of stride 0 over head_dim and dstate",
)

__all__ = ["DTYPE", "SELECTIVE_STATE_UPDATE"]
