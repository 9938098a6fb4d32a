"""Matrix multiplication C = A · Bᵀ, as linear layers do it with their weight B.

In fp8, a factor of its own goes with 128 elements of each row of A, and with blocks of 128 by 128
elements of B, as DeepSeek V3 stores its weights.
"""

from __future__ import annotations

import math
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

BLOCK = 128
FP8 = "float8_e4m3fn"
_FP8_SIZE, _FP8_MOST = 2.0**6, 448.0
"""Standard deviation of fp8 values as quantisation leaves them, and the largest there is."""


def gemm(A, B, dtype=None):  # type: ignore[no-untyped-def]
    import torch

    dtype = dtype or torch.float32
    return A.to(dtype) @ B.to(dtype).T


def gemm_fp8_block_scale(A, B, A_scale, B_scale, dtype=None):  # type: ignore[no-untyped-def]
    import torch

    dtype = dtype or torch.float32
    rows, columns = B.shape
    a_scale = A_scale.to(dtype).repeat_interleave(BLOCK, dim=1)[:, :columns]
    b_scale = B_scale.to(dtype).repeat_interleave(BLOCK, dim=1)[:, :columns]
    b_scale = b_scale.repeat_interleave(BLOCK, dim=0)[:rows]
    return (A.to(dtype) * a_scale) @ (B.to(dtype) * b_scale).T


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


def _interface_fp8(constants: Constants) -> Interface:
    n, k = constants["N"], constants["K"]
    blocks = {"num_n_blocks": -(-n // BLOCK), "num_k_blocks": -(-k // BLOCK)}
    return Interface(
        {"M": None, "N": n, "K": k, **blocks},
        {
            "A": Tensor(("M", "K"), FP8),
            "B": Tensor(("N", "K"), FP8, "the weight"),
            "A_scale": Tensor(
                ("M", "num_k_blocks"), "float32", f"factor of {BLOCK} elements of a row of A"
            ),
            "B_scale": Tensor(
                ("num_n_blocks", "num_k_blocks"),
                "float32",
                f"factor of a block of {BLOCK} by {BLOCK} elements of B",
            ),
        },
        {"C": Tensor(("M", "N"), "bfloat16")},
    )


def _make_inputs_fp8(draw: Draw, constants: Constants, lengths: Lengths) -> dict[str, Any]:
    """Activations of size one and weights scaled by fan-in, with scales that differ up to twofold.

    A scale has few bits, so that its product with an fp8 value is exact.
    """
    import torch

    m, n, k = lengths["M"], constants["N"], constants["K"]
    n_blocks, k_blocks = -(-n // BLOCK), -(-k // BLOCK)

    def values(rows: int) -> torch.Tensor:
        drawn = draw.normal((rows, k), torch.float32, _FP8_SIZE)
        return drawn.clamp(-_FP8_MOST, _FP8_MOST).to(torch.float8_e4m3fn)

    def scales(rows: int, size: float) -> torch.Tensor:
        eighths = draw.integers(8, 15, rows * k_blocks).view(rows, k_blocks).to(draw.device)
        return (eighths.float() / 8 * size / _FP8_SIZE).contiguous()

    fan_in = 2.0 ** -round(math.log2(k) / 2)
    a, b = values(m), values(n)
    return {"A": a, "B": b, "A_scale": scales(m, 1.0), "B_scale": scales(n_blocks, fan_in)}


def _cost_fp8(constants: Constants, lengths: Lengths) -> Cost:
    m, n, k = lengths["M"], constants["N"], constants["K"]
    n_blocks, k_blocks = -(-n // BLOCK), -(-k // BLOCK)
    scales = 4 * k_blocks * (m + n_blocks)
    return Cost(m * k + n * k + 2 * m * n + scales, 2 * m * n * k)


def _recognise_fp8(call: Call) -> Mapping[str, int]:
    names = ("input", "weight", "input_scale", "weight_scale")
    a, b, a_scale, b_scale = (call.get("run", name) for name in names)
    for name, tensor, dtype in (("input", a, FP8), ("weight", b, FP8)):
        if str(tensor.dtype).rpartition(".")[2] != dtype:
            raise Refused(f"{call.api}: {name} is {tensor.dtype}; {dtype} expected")
    if str(call.get("run", "out_dtype", "bfloat16")).rpartition(".")[2] != "bfloat16":
        raise Refused(f"{call.api}: returns {call.run['out_dtype']}; bfloat16 expected")
    n, k = (int(length) for length in b.shape)
    shapes = {"input_scale": (a.shape[0], -(-k // BLOCK))}
    shapes["weight_scale"] = (-(-n // BLOCK), -(-k // BLOCK))
    for name, tensor in (("input_scale", a_scale), ("weight_scale", b_scale)):
        if tensor is None or tuple(tensor.shape) != shapes[name]:
            found = "none" if tensor is None else list(tensor.shape)
            raise Refused(f"{call.api}: {name} is {found}; {list(shapes[name])} expected")
    return {"N": n, "K": k}


FP8_BLOCK_SCALE = Binding(
    ("flashinfer.gemm.fp8_blockscale_gemm_sm90",),
    {
        "A": Argument("run", "input"),
        "B": Argument("run", "weight"),
        "A_scale": Argument("run", "input_scale"),
        "B_scale": Argument("run", "weight_scale"),
    },
    _recognise_fp8,
    note="on Hopper, with K a multiple of 128 and N one of 64; the kernel takes input_scale column "
    "by column, each column of a multiple of 4 elements, whatever the tensor's strides say",
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
    Operation(
        op_type="gemm",
        kind="gemm_fp8_block_scale",
        summary="C = A · Bᵀ of float8_e4m3fn values with block scales, in bfloat16.",
        naming=Naming(
            "gemm_fp8_block_scale_n{N}_k{K}",
            tuple(f"gemm_fp8_{it}" for it in ("n{N}_k{K}", "N{N}_K{K}", "nt_groupwise_n{N}_k{K}")),
        ),
        interface=_interface_fp8,
        reference=gemm_fp8_block_scale,
        make_inputs=_make_inputs_fp8,
        draw_lengths=_draw_lengths,
        check=Numeric(),
        cost=_cost_fp8,
        binding=FP8_BLOCK_SCALE,
        example=Example(
            "gemm_fp8_block_scale_n4608_k7168",
            {"M": 4096},
            "DeepSeek V3 at tensor parallel 8, dense gate_up_proj of 4,096 tokens",
        ),
    ),
)
