"""FlashInfer's calls of the gated delta rule."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from flashinfer_bench.ops.binding import Argument, Binding, Call, Refused, Unbound

_NORM_EPS = 1e-6
_DTYPES = {
    **dict.fromkeys(("q", "k", "v", "a", "b"), "bfloat16"),
    **dict.fromkeys(("A_log", "dt_bias"), "float32"),
}
_NORMALISED = (
    "unless use_qk_l2norm=False the call divides q and k by their lengths: the inputs are then the "
    "quotients, rounded to bfloat16"
)


def _normalised(vectors: Any, call: Call) -> Any:
    """Queries or keys as the call multiplies them."""
    if call.run.get("use_qk_l2norm") is False:
        return vectors
    exact = vectors.float()
    inverse = (exact.square().sum(dim=-1, keepdim=True) + _NORM_EPS).rsqrt()
    return (exact * inverse).to(vectors.dtype)


def _usual_scale(call: Call) -> float:
    """That of a call without one."""
    return 1 / math.sqrt(call.run["q"].shape[-1])


def _recognise(call: Call, tokens: bool) -> dict[str, int]:
    """Constants of a call with one token for each request, or with several."""
    for name, dtype in _DTYPES.items():
        _require(call, name, dtype)
    q, k, v = (tuple(call.run[name].shape) for name in ("q", "k", "v"))
    if len(q) != 4 or len(v) != 4 or q[:2] != v[:2] or k != q or v[3] != q[3] or v[2] % q[2]:
        raise Refused(
            f"{call.api}: q {list(q)}, k {list(k)}, v {list(v)}; [batch, tokens, heads, size] "
            "expected, q and k alike and v of the same or a multiple of their heads"
        )
    if (q[1] > 1) is not tokens:
        expected = "more than one" if tokens else "one"
        raise Refused(f"{call.api}: {q[1]} tokens for each request; {expected} expected")
    return {"num_q_heads": q[2], "num_v_heads": v[2], "head_size": q[3]}


def _require(call: Call, name: str, dtype: str) -> None:
    value = call.get("run", name)
    if value is None:
        raise Refused(f"{call.api}: run was given no {name!r}")
    if str(value.dtype).rpartition(".")[2] != dtype:
        raise Refused(f"{call.api}: {name} is {value.dtype}; {dtype} expected")


def _require_states(call: Call, name: str, constants: Mapping[str, int]) -> None:
    _require(call, name, "float32")
    size = constants["head_size"]
    found, expected = tuple(call.run[name].shape), (constants["num_v_heads"], size, size)
    if found[1:] != expected:
        raise Refused(f"{call.api}: {name} is {list(found)}; [count, {expected}] expected")


def _refuse_given(call: Call, *names: str) -> None:
    for name in names:
        if call.get("run", name) is not None:
            raise Refused(f"{call.api}: {name} is given, which this operation does not have")


def _recognise_decode(call: Call) -> Mapping[str, int]:
    _refuse_given(call, "initial_state", "initial_state_indices", "output_state_indices")
    constants = _recognise(call, tokens=False)
    _require_states(call, "state", constants)
    return constants


def _recognise_mtp(call: Call) -> Mapping[str, int]:
    _refuse_given(call, "intermediate_states_buffer", "ssm_state_indices", "output_state_indices")
    if call.get("run", "disable_state_update", True):
        raise Refused(f"{call.api}: leaves the states as they are; disable_state_update=False")
    constants = _recognise(call, tokens=True)
    _require_states(call, "initial_state", constants)
    _require(call, "initial_state_indices", "int32")
    return constants


def _binding(
    api: str, states: tuple[str, ...], recognise: Callable[[Call], Mapping[str, int]], note: str
) -> Binding:
    inputs = {name: Argument("run", name, view=_normalised) for name in ("q", "k")}
    for name in ("v", *states, "A_log", "a", "dt_bias", "b"):
        inputs[name] = Argument("run", name)
    inputs["scale"] = Argument("run", "scale", otherwise=_usual_scale)
    return Binding((api,), inputs, recognise, note=f"{note}; {_NORMALISED}")


DECODE = _binding(
    "flashinfer.gdn_decode.gated_delta_rule_decode_pretranspose",
    ("state",),
    _recognise_decode,
    "writes the new states into state",
)
MTP = _binding(
    "flashinfer.gdn_decode.gated_delta_rule_mtp",
    ("initial_state", "initial_state_indices"),
    _recognise_mtp,
    "with disable_state_update=False only, and then writes the new states into initial_state",
)
PREFILL = Unbound(
    "flashinfer.gdn_prefill.chunk_gated_delta_rule takes the decay "
    "exp(-exp(A_log) * softplus(a + dt_bias)) and sigmoid(b) as float32, from which A_log, a, "
    "dt_bias and b cannot be recovered"
)

__all__ = ["DECODE", "MTP", "PREFILL"]
