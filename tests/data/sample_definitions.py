"""The definitions of the sample dataset; their references lie in sample_sources/definitions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flashinfer_bench.data import AxisConst, AxisSpec, AxisVar, Definition, DType, TensorSpec

RMSNORM, FUSED = "rmsnorm_h128", "fused_add_rmsnorm_h512"
GEMM, SAMPLING = "gemm_n256_k128", "top_k_sampling_from_probs_v64"
GQA = "gqa_paged_decode_h4_kv2_d16_ps1"

_REFERENCES = Path(__file__).parent / "sample_sources" / "definitions"
_MODEL = "model:sample-llm"
_ROWS = "batch_size hidden_size"
_CACHE = "num_pages page_size num_kv_heads head_dim"


def definitions() -> list[Definition]:
    return [rmsnorm(), fused_add_rmsnorm(), gemm(), gqa_paged_decode(), top_k_sampling()]


def rmsnorm() -> Definition:
    return _definition(
        RMSNORM,
        "rmsnorm",
        axes={"batch_size": _var("Rows."), "hidden_size": _const(128)},
        inputs={
            "hidden_states": _tensor(_ROWS, "bfloat16"),
            "weight": _tensor("hidden_size", "bfloat16"),
        },
        outputs={"output": _tensor(_ROWS, "bfloat16")},
        tags=[_MODEL, "fi_api:flashinfer.norm.rmsnorm", "status:verified"],
        description="Root mean square norm of each row, epsilon 1e-6.",
    )


def fused_add_rmsnorm() -> Definition:
    return _definition(
        FUSED,
        "rmsnorm",
        axes={"batch_size": AxisVar(), "hidden_size": _const(512)},
        inputs={
            "hidden_states": _tensor(_ROWS, "bfloat16"),
            "residual": _tensor(_ROWS, "bfloat16"),
            "weight": _tensor("hidden_size", "bfloat16"),
        },
        outputs={"output": _tensor(_ROWS, "bfloat16")},
        tags=[_MODEL, "fi_api:flashinfer.norm.fused_add_rmsnorm", "fused"],
    )


def gemm() -> Definition:
    return _definition(
        GEMM,
        "gemm",
        axes={"M": AxisVar(), "N": _const(256), "K": _const(128)},
        inputs={"A": _tensor("M K", "float16"), "B": _tensor("N K", "float16")},
        outputs={"C": _tensor("M N", "float16")},
        tags=[_MODEL, "status:verified"],
        description="C = A B^T.",
    )


def gqa_paged_decode() -> Definition:
    heads = {"num_qo_heads": _const(4), "num_kv_heads": _const(2), "head_dim": _const(16)}
    pages: dict[str, AxisSpec] = {"num_pages": _var("Pages of the cache."), "page_size": _const(1)}
    table = {"len_indptr": AxisVar(), "num_kv_indices": _var("Pages in use.")}
    return _definition(
        GQA,
        "gqa_paged",
        axes={"batch_size": _var("Requests."), **heads, **pages, **table},
        inputs={
            "q": _tensor("batch_size num_qo_heads head_dim", "bfloat16"),
            "k_cache": _tensor(_CACHE, "bfloat16"),
            "v_cache": _tensor(_CACHE, "bfloat16"),
            "kv_indptr": _tensor("len_indptr", "int32"),
            "kv_indices": _tensor("num_kv_indices", "int32"),
            "sm_scale": TensorSpec(shape=None, dtype=DType.FLOAT32),
        },
        outputs={
            "output": _tensor("batch_size num_qo_heads head_dim", "bfloat16"),
            "lse": _tensor("batch_size num_qo_heads", "float32", "Log-sum-exp to base 2."),
        },
        tags=[_MODEL, "stage:decode"],
        constraints=["len_indptr == batch_size + 1", "num_kv_indices == kv_indptr[-1].item()"],
    )


def top_k_sampling() -> Definition:
    return _definition(
        SAMPLING,
        "sampling",
        axes={"batch_size": _var("Requests."), "vocab_size": _const(64)},
        inputs={
            "probs": _tensor("batch_size vocab_size", "float32"),
            "top_k": _tensor("batch_size", "int32"),
        },
        outputs={"samples": _tensor("batch_size", "int64")},
        tags=[_MODEL],
    )


def _definition(name: str, op_type: str, *, axes: dict[str, AxisSpec], **fields: Any) -> Definition:
    reference = (_REFERENCES / f"{name}.py").read_text()
    return Definition(name=name, op_type=op_type, axes=axes, reference=reference, **fields)


def _const(value: int) -> AxisConst:
    return AxisConst(value=value)


def _var(description: str) -> AxisVar:
    return AxisVar(description=description)


def _tensor(axes: str, dtype: str, description: str | None = None) -> TensorSpec:
    more = {} if description is None else {"description": description}
    return TensorSpec(shape=axes.split(), dtype=DType(dtype), **more)
