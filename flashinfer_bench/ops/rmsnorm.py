"""Root-mean-square normalisation: plain, with weights around zero, with a residual added before."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from flashinfer_bench.ops.binding import Argument, Binding, Call, Refused
from flashinfer_bench.ops.checks import Numeric
from flashinfer_bench.ops.contract import (
    Constants,
    Cost,
    Example,
    Interface,
    Lengths,
    Operation,
    Tensor,
)
from flashinfer_bench.ops.naming import Naming

if TYPE_CHECKING:
    from flashinfer_bench.ops.draw import Draw

DTYPE = "bfloat16"
USUAL_EPS_EXPONENT = 6


def rmsnorm(hidden_states, weight, dtype=None, eps_exponent=6):  # type: ignore[no-untyped-def]
    import torch

    x = hidden_states.to(dtype or torch.float32)
    inverse = torch.rsqrt(x.square().mean(dim=-1, keepdim=True) + 10.0**-eps_exponent)
    return x * inverse * weight.to(x.dtype)


def gemma_rmsnorm(hidden_states, weight, dtype=None, eps_exponent=6):  # type: ignore[no-untyped-def]
    import torch

    dtype = dtype or torch.float32
    weight = weight.to(dtype) + 1
    return rmsnorm(hidden_states, weight, dtype, eps_exponent)  # type: ignore[no-untyped-call]


def fused_add_rmsnorm(  # type: ignore[no-untyped-def]
    hidden_states, residual, weight, dtype=None, eps_exponent=6
):
    import torch

    dtype = dtype or torch.float32
    x = hidden_states.to(dtype) + residual.to(dtype)
    return rmsnorm(x, weight, dtype, eps_exponent)  # type: ignore[no-untyped-call]


def gemma_fused_add_rmsnorm(  # type: ignore[no-untyped-def]
    hidden_states, residual, weight, dtype=None, eps_exponent=6
):
    import torch

    dtype = dtype or torch.float32
    x = hidden_states.to(dtype) + residual.to(dtype)
    return gemma_rmsnorm(x, weight, dtype, eps_exponent)  # type: ignore[no-untyped-call]


def _interface(*states: str) -> Callable[[Constants], Interface]:
    rows = Tensor(("batch_size", "hidden_size"), DTYPE)
    inputs = {**dict.fromkeys(states, rows), "weight": Tensor(("hidden_size",), DTYPE)}

    def interface(constants: Constants) -> Interface:
        axes = {"batch_size": None, "hidden_size": constants["hidden_size"]}
        return Interface(axes, inputs, {"output": rows})

    return interface


def _make_inputs(
    *states: str, center: float = 1.0
) -> Callable[[Draw, Constants, Lengths], dict[str, Any]]:
    """Rows of different size, as activations are, and weights around `center`."""

    def make_inputs(draw: Draw, constants: Constants, lengths: Lengths) -> dict[str, Any]:
        import torch

        hidden, batch = constants["hidden_size"], lengths["batch_size"]
        inputs: dict[str, Any] = {}
        for name in states:
            rows = draw.normal((batch, hidden), torch.float32)
            sizes = 2.0 ** draw.integers(-4, 4, batch).to(rows)
            inputs[name] = (rows * sizes[:, None]).to(torch.bfloat16)
        weight = center + draw.normal((hidden,), torch.float32, 0.25)
        return {**inputs, "weight": weight.to(torch.bfloat16)}

    return make_inputs


def _draw_lengths(draw: Draw, constants: Constants) -> dict[str, int]:
    return {"batch_size": draw.choice((1, 2, 3, 7, 16, 33, 64))}


def _cost(tensors: int) -> Callable[[Constants, Lengths], Cost]:
    def cost(constants: Constants, lengths: Lengths) -> Cost:
        hidden, batch = constants["hidden_size"], lengths["batch_size"]
        return Cost(2 * hidden * (tensors * batch + 1), 4 * hidden * batch)

    return cost


def _recognise(call: Call) -> Mapping[str, int]:
    shape, dtype = call.run["input"].shape, str(call.run["input"].dtype)
    if len(shape) != 2:
        raise Refused(
            f"{call.api}: input has shape {list(shape)}; rows of one hidden size expected"
        )
    if not dtype.endswith(DTYPE):
        raise Refused(f"{call.api}: input is {dtype}; {DTYPE} expected")
    exponent = -math.log10(call.get("run", "eps", 10.0**-USUAL_EPS_EXPONENT))
    if abs(exponent - round(exponent)) > 1e-6:
        raise Refused(f"{call.api}: eps {call.run['eps']} is no power of ten")
    constants = {"hidden_size": shape[1]}
    if round(exponent) != USUAL_EPS_EXPONENT:
        constants["eps_exponent"] = round(exponent)
    return constants


def _binding(*apis: str, residual: bool = False) -> Binding:
    inputs = {"hidden_states": Argument("run", "input")}
    if residual:
        inputs["residual"] = Argument("run", "residual")
    inputs["weight"] = Argument("run", "weight")
    note = "in place: residual += input, then input = output" if residual else None
    return Binding(apis, inputs, _recognise, note=note)


RMSNORM = _binding("flashinfer.norm.rmsnorm")
GEMMA_RMSNORM = _binding("flashinfer.norm.gemma_rmsnorm")
FUSED_ADD_RMSNORM = _binding("flashinfer.norm.fused_add_rmsnorm", residual=True)
GEMMA_FUSED_ADD_RMSNORM = _binding("flashinfer.norm.gemma_fused_add_rmsnorm", residual=True)


def _operation(
    reference: Callable[..., Any],
    summary: str,
    binding: Binding,
    example: Example,
    *,
    residual: bool = False,
    center: float = 1.0,
) -> Operation:
    kind = reference.__name__
    states = ("hidden_states", "residual") if residual else ("hidden_states",)
    return Operation(
        op_type="rmsnorm",
        kind=kind,
        summary=summary,
        naming=Naming(f"{kind}_h{{hidden_size}}[_eps{{eps_exponent}}]"),
        interface=_interface(*states),
        reference=reference,
        make_inputs=_make_inputs(*states, center=center),
        draw_lengths=_draw_lengths,
        check=Numeric(),
        cost=_cost(2 * len(states)),
        binding=binding,
        example=example,
        parameters={"eps_exponent": "10 ** -eps_exponent is added to the mean square"},
    )


OPERATIONS = (
    _operation(
        rmsnorm,
        "Each row divided by its root mean square, times a weight.",
        RMSNORM,
        Example("rmsnorm_h4096", {"batch_size": 4096}, "Llama 3.1 8B, 4,096 tokens"),
    ),
    _operation(
        gemma_rmsnorm,
        "Each row divided by its root mean square, times one plus a weight.",
        GEMMA_RMSNORM,
        Example("gemma_rmsnorm_h5376", {"batch_size": 4096}, "Gemma 3 27B, 4,096 tokens"),
        center=0.0,
    ),
    _operation(
        fused_add_rmsnorm,
        "A residual added, then each row divided by its root mean square, times a weight.",
        FUSED_ADD_RMSNORM,
        Example("fused_add_rmsnorm_h4096", {"batch_size": 4096}, "Llama 3.1 8B, 4,096 tokens"),
        residual=True,
    ),
    _operation(
        gemma_fused_add_rmsnorm,
        "A residual added, then each row divided by its root mean square, times one plus a weight.",
        GEMMA_FUSED_ADD_RMSNORM,
        Example(
            "gemma_fused_add_rmsnorm_h2048", {"batch_size": 4096}, "Qwen3 Next 80B, 4,096 tokens"
        ),
        residual=True,
        center=0.0,
    ),
)
