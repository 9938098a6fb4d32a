"""Matrix multiplication C = A · Bᵀ, as linear layers do it with their weight B."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from flashinfer_bench.ops.binding import Argument, Binding, Call, Refused, Unbound
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


def gemm(A, B, dtype=None):  # type: ignore[no-untyped-def]
    import torch

    dtype = dtype or torch.float32
    return A.to(dtype) @ B.to(dtype).T


def _interface(dtype: str) -> Callable[[Constants], Interface]:
    def interface(constants: Constants) -> Interface:
        return Interface(
            {"M": None, "N": constants["N"], "K": constants["K"]},
            {"A": Tensor(("M", "K"), dtype), "B": Tensor(("N", "K"), dtype, "the weight")},
            {"C": Tensor(("M", "N"), dtype)},
        )

    return interface


def _make_inputs(dtype: str) -> Callable[[Draw, Constants, Lengths], dict[str, Any]]:
    """Activations of size one and weights scaled by fan-in, so that outputs are of size one."""

    def make_inputs(draw: Draw, constants: Constants, lengths: Lengths) -> dict[str, Any]:
        import torch

        element = getattr(torch, dtype)
        n, k = constants["N"], constants["K"]
        return {
            "A": draw.normal((lengths["M"], k), element),
            "B": draw.normal((n, k), element, k**-0.5),
        }

    return make_inputs


def _draw_lengths(draw: Draw, constants: Constants) -> dict[str, int]:
    return {"M": draw.choice((1, 2, 5, 16, 33, 64))}


def _cost(constants: Constants, lengths: Lengths) -> Cost:
    m, n, k = lengths["M"], constants["N"], constants["K"]
    return Cost(2 * (m * k + n * k + m * n), 2 * m * n * k)


def _recognise(call: Call) -> Mapping[str, int]:
    a, b = call.run["a"], call.run["b"]
    if call.run.get("bias") is not None:
        raise Refused(f"{call.api}: adds a bias")
    if not (str(a.dtype).endswith("bfloat16") and str(b.dtype).endswith("bfloat16")):
        raise Refused(f"{call.api}: {a.dtype} times {b.dtype}; bfloat16 expected")
    if "bfloat16" not in str(call.get("run", "out_dtype", "bfloat16")):
        raise Refused(f"{call.api}: returns {call.run['out_dtype']}; bfloat16 expected")
    return {"N": b.shape[1], "K": b.shape[0]}


BF16 = Binding(
    ("flashinfer.gemm.mm_bf16",),
    {
        "A": Argument("run", "a"),
        "B": Argument("run", "b", view=lambda b, call: b.T),
    },
    _recognise,
    note="b is the weight transposed: [K, N], column-major",
)


def _operation(dtype: str, stem: str, binding: Binding | Unbound) -> Operation:
    return Operation(
        op_type="gemm",
        kind=stem,
        summary=f"C = A · Bᵀ in {dtype}.",
        naming=Naming(
            f"{stem}_n{{N}}_k{{K}}", (f"{stem}_n_{{N}}_k_{{K}}", f"{stem}_N{{N}}_K{{K}}")
        ),
        interface=_interface(dtype),
        reference=gemm,
        make_inputs=_make_inputs(dtype),
        draw_lengths=_draw_lengths,
        check=Numeric(),
        cost=_cost,
        binding=binding,
        example=Example(
            f"{stem}_n6144_k4096", {"M": 4096}, "Llama 3.1 8B, qkv_proj of 4,096 tokens"
        ),
    )


OPERATIONS = (
    _operation(
        "float16", "gemm", Unbound("FlashInfer's dense products take bfloat16, fp8 and fp4 only")
    ),
    _operation("bfloat16", "gemm_bf16", BF16),
)
