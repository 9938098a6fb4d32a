"""FlashInfer's kernels agree with the references, on a GPU.

They are judged by the same checks as any solution, on fresh random inputs in every style. Kernels
are compiled at their first call: minutes on few cores.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from flashinfer_calls import call_flashinfer, is_called  # noqa: E402

from flashinfer_bench.ops.checks import Judged  # noqa: E402
from flashinfer_bench.ops.contract import Operation  # noqa: E402
from flashinfer_bench.ops.draw import STYLES, Draw  # noqa: E402
from flashinfer_bench.ops.registry import operations, parse_name  # noqa: E402
from flashinfer_bench.ops.sampling import draw_many  # noqa: E402

has_gpu = torch.cuda.is_available()
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not has_gpu, reason="needs a CUDA GPU"),
    pytest.mark.filterwarnings("default"),
]

HEADS = "h32_kv8_d128"
GDN = ("decode", "mtp", "prefill")
NAMES = (
    *("rmsnorm_h128", "rmsnorm_h7168_eps5", "gemma_rmsnorm_h5376"),
    *("fused_add_rmsnorm_h2048", "fused_add_rmsnorm_h7168_eps5", "gemma_fused_add_rmsnorm_h5376"),
    *(f"rope_with_cos_sin_cache_neox_style_{sizes}" for sizes in ("d128_rd128", "d128_rd64")),
    *(f"rope_with_cos_sin_cache_gptj_style_{sizes}" for sizes in ("d64_rd64", "d128_rd64")),
    *(f"gqa_paged_decode_{HEADS}_ps{n}" for n in ("1", "16", "64", "1_w127", "16_cap30")),
    *(f"gqa_paged_decode_{sizes}_ps1" for sizes in ("h5_kv1_d128", "h20_kv4_d128")),
    *(f"gqa_paged_prefill_causal_{HEADS}_ps{n}" for n in ("1", "16", "64", "1_w127", "16_cap30")),
    *(f"gqa_ragged_prefill_causal_{HEADS}{variant}" for variant in ("", "_w127", "_cap30")),
    *(f"mla_paged_decode_h16_ckv512_kpe64_ps{n}" for n in (1, 64)),
    *(f"mla_paged_prefill_causal_h16_ckv512_kpe64_ps{n}" for n in (1, 64)),
    "mla_ragged_prefill_causal_h16_qk192_vo128",
    *("gemm_bf16_n6144_k4096", "gemm_fp8_block_scale_n7168_k2048"),
    *(f"dsa_sparse_attention_h16_ckv512_kpe64_topk2048_ps{n}" for n in (1, 64)),
    *("mamba_ssu_decode_h128_d64_s128_ng8", "mamba_ssu_decode_h64_d64_s128_ng4"),
    *(f"gdn_{stage}_{sizes}_d128_k_last" for stage in GDN for sizes in ("qk16_v32", "qk4_v8")),
)
SAMPLERS = [
    f"{stem}_sampling_from_probs_v{size}"
    for stem in ("top_k", "top_p", "top_k_top_p")
    for size in (1000, 128256, 262208)
]
SEEDS = 4

Record = Callable[[str, object], None]


def flashinfer(
    operation: Operation, constants: dict[str, int], inputs: Any, backend: str = "fa2"
) -> dict[str, Any]:
    pytest.importorskip("flashinfer")
    return call_flashinfer(operation, constants, inputs, backend)


def expected(operation: Operation, constants: dict[str, int], inputs: dict[str, Any]) -> Any:
    return operation.compute(constants, inputs, torch.float64)


def note(record: Record, name: str, judged: list[Judged]) -> None:
    """Keeps what was measured in the JUnit report."""
    for output in judged:
        facts = " ".join(f"{key}={value:.3g}" for key, value in output.facts.items())
        record(f"{name} {output.name}", facts)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("style", STYLES)
def test_small_calls(name: str, style: Any, record_property: Record) -> None:
    operation, constants = parse_name(name)
    failures = []
    for _ in range(SEEDS):
        seed = secrets.randbits(32)
        draw = Draw(seed, device="cuda", style=style)
        lengths = operation.draw_lengths(draw, constants)
        inputs = operation.make_inputs(draw, constants, lengths)
        actual = flashinfer(operation, constants, inputs)
        judged = operation.check(inputs, expected(operation, constants, inputs), actual)
        note(record_property, f"{name} {style}", judged)
        failures += [(seed, it.name, it.reason, lengths) for it in judged if not it.passed]
    assert failures == []


@pytest.mark.parametrize(
    "operation",
    [it for it in operations() if is_called(it) and it.op_type != "sampling"],
    ids=lambda operation: operation.kind,
)
def test_calls_of_a_known_model(operation: Operation, record_property: Record) -> None:
    _, constants = parse_name(operation.example.name)
    draw = Draw(secrets.randbits(32), device="cuda")
    inputs = operation.make_inputs(draw, constants, operation.example.lengths)
    actual = flashinfer(operation, constants, inputs)
    judged = operation.check(inputs, expected(operation, constants, inputs), actual)
    note(record_property, operation.example.name, judged)
    assert [it.reason for it in judged if not it.passed] == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        *(f"gqa_paged_prefill_causal_{HEADS}_ps{n}" for n in (1, 64)),
        f"gqa_ragged_prefill_causal_{HEADS}",
        *(f"mla_paged_decode_h16_ckv512_kpe64_ps{n}" for n in (1, 64)),
        *(f"mla_paged_prefill_causal_h16_ckv512_kpe64_ps{n}" for n in (1, 64)),
    ],
)
def test_the_default_backend(name: str, record_property: Record) -> None:
    operation, constants = parse_name(name)
    failures = []
    for style in STYLES:
        draw = Draw(secrets.randbits(32), device="cuda", style=style)
        lengths = operation.draw_lengths(draw, constants)
        inputs = operation.make_inputs(draw, constants, lengths)
        actual = flashinfer(operation, constants, inputs, "auto")
        judged = operation.check(inputs, expected(operation, constants, inputs), actual)
        note(record_property, f"{name} auto {style}", judged)
        failures += [(style, it.name, it.reason, lengths) for it in judged if not it.passed]
    assert failures == []


@pytest.mark.parametrize("name", ["gemm_n6144_k4096", "gemm_bf16_n6144_k4096", "gemm_n256_k7168"])
@pytest.mark.parametrize("style", STYLES)
def test_products_of_torch(name: str, style: Any, record_property: Record) -> None:
    operation, constants = parse_name(name)
    draw = Draw(secrets.randbits(32), device="cuda", style=style)
    inputs = operation.make_inputs(draw, constants, {"M": 1024})
    actual = {"C": inputs["A"] @ inputs["B"].T}
    judged = operation.check(inputs, expected(operation, constants, inputs), actual)
    note(record_property, f"{name} {style}", judged)
    assert [it.reason for it in judged if not it.passed] == []


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("who", ["flashinfer", "reference"])
def test_samplers(name: str, who: str, record_property: Record) -> None:
    operation, constants = parse_name(name)

    def run(*values: Any) -> Any:
        if who == "reference":
            return operation.reference(*values)
        return flashinfer(operation, constants, dict(zip(inputs, values)))["samples"]

    failures = []
    for seed in [secrets.randbits(32) for _ in range(SEEDS)]:
        draw = Draw(seed, device="cuda")
        inputs = operation.make_inputs(draw, constants, {"batch_size": 8})
        samples = draw_many(run, inputs, operation.check.draws)  # type: ignore[attr-defined]
        judged = operation.check(inputs, {}, {"samples": samples})
        note(record_property, f"{name} {who}", judged)
        failures += [(seed, it.reason) for it in judged if not it.passed]
    assert failures == []


@pytest.mark.parametrize("operation", operations(), ids=lambda operation: operation.kind)
def test_inputs_are_the_same_bytes_as_on_the_cpu(operation: Operation) -> None:
    _, constants = parse_name(operation.example.name)
    made = []
    for device in ("cpu", "cuda"):
        draw = Draw(5, device=device)
        lengths = operation.draw_lengths(draw, constants)
        made.append(operation.make_inputs(draw, constants, lengths))
    for name, value in made[0].items():
        on_gpu = made[1][name]
        if hasattr(value, "shape"):
            assert on_gpu.is_cuda
            assert torch.equal(value, on_gpu.cpu())
        else:
            assert value == on_gpu
