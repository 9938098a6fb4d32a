"""What the attention check lets pass: an honest kernel, and none of its mutants."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from attention_calls import draw_inputs, requests
from random_calls import run_reference

from flashinfer_bench.ops.checks import Judged
from flashinfer_bench.ops.draw import STYLES, Draw
from flashinfer_bench.ops.registry import parse_name

torch = pytest.importorskip("torch")

LENGTHS = {
    "batch_size": 3,
    "len_indptr": 4,
    "total_q": 40,
    "total_kv": 640,
    "num_kv_indices": 640,
    "num_pages": 700,
}
NAMES = (
    "gqa_paged_decode_h8_kv2_d64_ps1",
    "gqa_paged_decode_h8_kv2_d64_ps16_w60",
    "gqa_paged_decode_h8_kv2_d64_ps16_cap30",
    "gqa_paged_prefill_causal_h8_kv2_d64_ps1_w60",
    "gqa_paged_prefill_causal_h8_kv2_d64_ps16",
    "gqa_ragged_prefill_causal_h8_kv2_d64",
    "gqa_ragged_prefill_causal_h8_kv2_d64_w60_cap30",
    "mla_paged_decode_h4_ckv128_kpe32_ps1",
    "mla_paged_decode_h4_ckv128_kpe32_ps16",
    "mla_paged_prefill_causal_h4_ckv128_kpe32_ps1",
    "mla_paged_prefill_causal_h4_ckv128_kpe32_ps16",
    "mla_ragged_prefill_causal_h4_qk96_vo64",
)


@dataclass(frozen=True)
class Kernel:
    """bf16 inputs and probabilities, float32 accumulation; the fields say what it gets wrong."""

    scale: float = 1.0
    ahead: int = 0
    """Keys after its own position that a query sees."""
    cut: Callable[[int], int] = lambda keys: keys
    window: bool = True
    cap: bool = True
    interleaved: bool = False
    """Key heads by remainder instead of by quotient."""
    inputs_in: torch.dtype = torch.bfloat16
    added_in: torch.dtype = torch.float32
    """How the logits' products are added up, 16 at a time."""
    whole_pages: bool = False
    tanh_error: float = 0.0

    def __call__(self, inputs: dict[str, Any], constants: dict[str, int]) -> tuple[Any, Any]:
        rows, heads = next(iter(inputs.values())).shape[:2]
        values = inputs.get("v", inputs.get("v_cache", inputs.get("ckv_cache")))
        output = torch.zeros(rows, heads, values.shape[-1], dtype=torch.bfloat16)
        lse = torch.full((rows, heads), -math.inf)
        for it in requests(inputs):
            kept = len(it.k) if self.whole_pages else it.kept
            if len(it.q) and kept:
                q, k = (x.to(self.inputs_in).float() for x in (it.q, it.k[:kept]))
                seen = self.visible(len(q), kept, constants)
                scale = inputs["sm_scale"] * self.scale
                done = self.attend(q, k, it.v[:kept].float(), seen, scale, constants)
                output[it.rows], lse[it.rows] = done
        return output, lse

    def visible(self, queries: int, keys: int, constants: dict[str, int]) -> Any:
        key, position = torch.arange(keys), torch.arange(keys - queries, keys)[:, None]
        seen = (key <= position + self.ahead) & (key < self.cut(keys))
        if self.window and "window_left" in constants:
            seen &= key >= position - constants["window_left"]
        return seen

    def attend(
        self, q: Any, k: Any, v: Any, seen: Any, scale: float, constants: dict[str, int]
    ) -> tuple[Any, Any]:
        head = torch.arange(q.shape[1])
        kv_heads = k.shape[1]
        shared = head % kv_heads if self.interleaved else head * kv_heads // q.shape[1]
        x = self.products(q, k[:, shared]) * scale
        if self.cap and "logits_soft_cap" in constants:
            cap = constants["logits_soft_cap"]
            x = cap * torch.tanh(x / cap) * (1 + self.tanh_error)
        x = x.masked_fill(~seen, -math.inf)
        most = x.amax(-1, keepdim=True).clamp_min(-1e30)
        weights = torch.exp(x - most)
        total = weights.sum(-1, keepdim=True)
        output = torch.einsum("hqk,khd->hqd", weights.bfloat16().float(), v[:, shared])
        output = output / total.clamp_min(1e-30)
        lse = (most + total.log()).squeeze(-1) * math.log2(math.e)
        return output.transpose(0, 1).bfloat16(), lse.T

    def products(self, q: Any, k: Any) -> Any:
        total = torch.zeros(q.shape[1], len(q), len(k), dtype=self.added_in)
        for some_q, some_k in zip(q.split(16, -1), k.split(16, -1)):
            total += torch.einsum("qhd,khd->hqk", some_q, some_k).to(self.added_in)
        return total.float()


HONEST = Kernel()
BROKEN_INSIDE: dict[str, Kernel] = {
    "logits 1 % too large": Kernel(scale=1.01),
    "last key dropped": Kernel(cut=lambda keys: keys - 1),
    "tail block dropped": Kernel(cut=lambda keys: (keys - 1) // 16 * 16),
    "fp8 inputs": Kernel(inputs_in=torch.float8_e4m3fn),
    "logits added up in bf16": Kernel(added_in=torch.bfloat16),
    "causal, one key fewer": Kernel(ahead=-1),
}
BROKEN_AFTER: dict[str, Callable[[Any, Any], tuple[Any, Any]]] = {
    "output 1 % too large": lambda output, lse: ((output.float() * 1.01).bfloat16(), lse),
    "heads rotated": lambda output, lse: (output.roll(1, 1), lse.roll(1, 1)),
    "lse to base e": lambda output, lse: (output, lse * math.log(2)),
    "one wrong row": lambda output, lse: (torch.cat([output[:-1], output[:1]]), lse),
    "output of zeros": lambda output, lse: (output * 0, lse),
    "lse of zeros": lambda output, lse: (output, lse * 0),
}


def broken_kernels(name: str) -> dict[str, Kernel]:
    kernels = dict(BROKEN_INSIDE)
    if "decode" not in name:
        kernels["causal, one key more"] = Kernel(ahead=1)
    if "gqa" in name:
        kernels["key heads interleaved"] = Kernel(interleaved=True)
    if "_w" in name:
        kernels["window dropped"] = Kernel(window=False)
    if "_cap" in name:
        kernels["soft cap dropped"] = Kernel(cap=False)
    if "_ps16" in name:
        kernels["last page taken as full"] = Kernel(whole_pages=True)
    return kernels


def call(name: str, seed: int) -> dict[str, Any]:
    lengths = LENGTHS
    if "_ps16" in name:
        lengths = {**LENGTHS, "num_kv_indices": 42, "num_pages": 60}
    return draw_inputs(name, seed, lengths)


def judged(name: str, inputs: dict[str, Any], found: tuple[Any, Any]) -> list[Judged]:
    operation, constants = parse_name(name)
    expected = run_reference(operation, constants, inputs, torch.float64)
    outputs = ("output", "lse")
    return operation.check(inputs, dict(zip(outputs, expected)), dict(zip(outputs, found)))


def faults(name: str, inputs: dict[str, Any], found: tuple[Any, Any]) -> list[str]:
    return [it.reason for it in judged(name, inputs, found) if not it.passed]


@pytest.mark.parametrize("name", NAMES)
def test_an_honest_kernel_passes(name: str) -> None:
    operation, constants = parse_name(name)
    for seed in range(50):
        draw = Draw(seed, style=STYLES[seed % len(STYLES)])
        inputs = operation.make_inputs(draw, constants, operation.draw_lengths(draw, constants))
        assert faults(name, inputs, HONEST(inputs, constants)) == [], (seed, draw.style)


def test_the_hardware_tanh_passes() -> None:
    name = "gqa_paged_decode_h8_kv2_d64_ps16_cap30"
    for error in (-(2.0**-11), 2.0**-11):
        for seed in range(10):
            inputs = call(name, seed)
            found = replace(HONEST, tanh_error=error)(inputs, parse_name(name)[1])
            assert faults(name, inputs, found) == []


@pytest.mark.parametrize("name", NAMES)
def test_mutants_fail(name: str) -> None:
    constants = parse_name(name)[1]
    mutants = 0
    for seed in range(3):
        inputs = call(name, seed)
        honest = HONEST(inputs, constants)
        assert faults(name, inputs, honest) == []
        wrong = {key: kernel(inputs, constants) for key, kernel in broken_kernels(name).items()}
        wrong |= {key: change(*honest) for key, change in BROKEN_AFTER.items()}
        wrong["output of the call before"] = HONEST(call(name, seed + 100), constants)
        passing = [key for key, found in wrong.items() if not faults(name, inputs, found)]
        assert passing == [], seed
        mutants = len(wrong)
    assert mutants >= 8
