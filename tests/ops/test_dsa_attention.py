"""dsa_sparse_attention: the reference against plain Python, honest and wrong kernels, calls."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, replace
from typing import Any

import pytest
from random_calls import run_reference

from flashinfer_bench.ops.binding import Call, Refused
from flashinfer_bench.ops.draw import STYLES, Draw
from flashinfer_bench.ops.dsa_paged import OPERATIONS
from flashinfer_bench.ops.dsa_paged.binding import SPARSE_ATTENTION
from flashinfer_bench.ops.registry import parse_name

torch = pytest.importorskip("torch")

OPERATION = OPERATIONS[0]
NAMES = tuple(f"dsa_sparse_attention_h4_ckv128_kpe32_topk48_ps{size}" for size in (1, 16))


def test_older_names_are_read() -> None:
    older = "dsa_sparse_decode_h16_ckv512_kpe64_topk2048_ps64"
    assert parse_name(older) == parse_name(older.replace("decode", "attention"))


def plainly(inputs: dict[str, Any]) -> tuple[list[Any], list[Any]]:
    """Output and lse, one number at a time."""
    it = {
        name: value.tolist() if hasattr(value, "shape") else value for name, value in inputs.items()
    }
    page_size = len(it["ckv_cache"][0])
    output, lse = [], []
    for q_nope, q_pe, indices in zip(it["q_nope"], it["q_pe"], it["sparse_indices"]):
        places = [divmod(index, page_size) for index in indices if index != -1]
        keys = [(it["ckv_cache"][page][i], it["kpe_cache"][page][i]) for page, i in places]
        for head in range(len(q_nope)):
            products = [
                sum(a * b for a, b in zip(q_nope[head] + q_pe[head], ckv + kpe))
                for ckv, kpe in keys
            ]
            exps = [math.exp(it["sm_scale"] * product) for product in products]
            lse.append(math.log2(sum(exps)) if keys else -math.inf)
            for i in range(len(q_nope[head])):
                weighted = sum(exp * ckv[i] for exp, (ckv, _) in zip(exps, keys))
                output.append(weighted / sum(exps) if keys else 0.0)
    return output, lse


def test_the_reference_against_plain_python() -> None:
    source, empty, short = random.Random(5), 0, 0
    for seed in range(40):
        sizes = ("num_qo_heads", "head_dim_ckv", "head_dim_kpe", "topk")
        constants = {size: source.randint(1, 6) for size in sizes}
        constants["page_size"] = source.choice((1, 2, 5))
        draw = Draw(seed, style=STYLES[seed % len(STYLES)] if seed % 5 != 1 else "plain")
        lengths = {"num_tokens": source.randint(1, 20), "num_pages": source.randint(1, 4)}
        inputs = OPERATION.make_inputs(draw, constants, lengths)
        output, lse = run_reference(OPERATION, constants, inputs, torch.float64)
        expected = plainly(inputs)
        assert output.flatten().tolist() == pytest.approx(expected[0], rel=1e-9, abs=1e-12)
        assert lse.flatten().tolist() == pytest.approx(expected[1], rel=1e-9, abs=1e-12)
        counts = (inputs["sparse_indices"] >= 0).sum(1)
        empty += int((counts == 0).sum())
        short += lengths["num_pages"] * constants["page_size"] < constants["topk"]
    assert empty and short


@dataclass(frozen=True)
class Kernel:
    """bf16 inputs and probabilities, float32 sums; the fields say what it gets wrong."""

    scale: float = 1.0
    page_ahead: int = 0
    slot_ahead: int = 0
    masked: bool = True
    rotary: bool = True
    last: int = 0
    """Indices that it drops at the end of a row."""
    twice: int = 0
    """First indices that it counts twice."""
    base: float = 2.0
    empty: float = 0.0
    swapped: bool = False

    def __call__(self, inputs: dict[str, Any]) -> tuple[Any, Any]:
        page_size = inputs["ckv_cache"].shape[1]
        ckv, kpe = (inputs[name].flatten(0, 1).float() for name in ("ckv_cache", "kpe_cache"))
        results = [
            self.row(inputs, token, ckv, kpe, page_size) for token in range(len(inputs["q_nope"]))
        ]
        output, lse = (torch.stack(it) for it in zip(*results))
        if self.swapped:
            output = output[:, [1, 0, *range(2, output.shape[1])]]
        return output.bfloat16(), lse

    def row(self, inputs: Any, token: int, ckv: Any, kpe: Any, page_size: int) -> tuple[Any, Any]:
        indices = inputs["sparse_indices"][token].long()
        if self.masked:
            indices = indices[indices >= 0]
        indices = torch.cat([indices[: len(indices) - self.last], indices[: self.twice]])
        slots = (indices + self.page_ahead * page_size + self.slot_ahead) % len(ckv)
        q_nope, q_pe = (inputs[name][token].float() for name in ("q_nope", "q_pe"))
        if not len(slots):
            return torch.full_like(q_nope, self.empty), torch.full((len(q_nope),), -math.inf)
        x = q_nope @ ckv[slots].T + (q_pe @ kpe[slots].T if self.rotary else 0)
        x = x * inputs["sm_scale"] * self.scale
        most = x.amax(-1, keepdim=True)
        weights = torch.exp(x - most)
        total = weights.sum(-1, keepdim=True)
        output = weights.bfloat16().float() @ ckv[slots] / total
        return output, (most + total.log()).squeeze(-1) / math.log(self.base)


HONEST = Kernel()
MUTANTS = {
    "the page behind": replace(HONEST, page_ahead=1),
    "the slot behind": replace(HONEST, slot_ahead=1),
    "padding is the last slot": replace(HONEST, masked=False),
    "first index twice": replace(HONEST, twice=1),
    "no rotary part": replace(HONEST, rotary=False),
    "lse to base e": replace(HONEST, base=math.e),
    "no scale": replace(HONEST, scale=160**0.5),
    "logits 1 % too large": replace(HONEST, scale=1.01),
    "heads swapped": replace(HONEST, swapped=True),
    "last index dropped": replace(HONEST, last=1),
    "empty rows not zero": replace(HONEST, empty=1e-3),
}


def faults(inputs: dict[str, Any], found: tuple[Any, Any]) -> list[str]:
    expected = OPERATION.reference(*inputs.values(), dtype=torch.float64)
    names = ("output", "lse")
    judged = OPERATION.check(inputs, dict(zip(names, expected)), dict(zip(names, found)))
    return [it.reason for it in judged if not it.passed]


@pytest.mark.parametrize("name", NAMES)
def test_an_honest_kernel_passes(name: str) -> None:
    constants = parse_name(name)[1]
    for seed in range(50):
        draw = Draw(seed, style=STYLES[seed % len(STYLES)])
        inputs = OPERATION.make_inputs(draw, constants, OPERATION.draw_lengths(draw, constants))
        assert faults(inputs, HONEST(inputs)) == [], (seed, draw.style)


@pytest.mark.parametrize("name", NAMES)
def test_mutants_fail(name: str) -> None:
    constants = parse_name(name)[1]
    lengths = {"num_tokens": 60, "num_pages": 200 // constants["page_size"]}
    for seed in range(3):
        inputs = OPERATION.make_inputs(Draw(seed), constants, lengths)
        assert faults(inputs, HONEST(inputs)) == []
        passing = [key for key, kernel in MUTANTS.items() if not faults(inputs, kernel(inputs))]
        assert passing == []


def test_what_padding_points_to_is_not_read() -> None:
    name = "dsa_sparse_attention_h2_ckv8_kpe4_topk6_ps2"
    inputs = OPERATION.make_inputs(Draw(0), parse_name(name)[1], {"num_tokens": 3, "num_pages": 4})
    inputs["sparse_indices"] = torch.tensor([[3, 5] + 4 * [-1], 6 * [-1], [1, *range(2, 7)]]).int()
    expected = OPERATION.reference(*inputs.values())
    for cache in ("ckv_cache", "kpe_cache"):
        inputs[cache][0, 0] = math.nan
        inputs[cache][-1, -1] = math.inf
    for wanted, found in zip(expected, OPERATION.reference(*inputs.values())):
        assert torch.equal(wanted, found)


API = "flashinfer.decode.trtllm_batch_decode_with_kv_cache_mla"


def call(**changes: Any) -> Call:
    arguments = {
        "query": torch.randn(3, 2, 16, 576).bfloat16(),
        "kv_cache": torch.randn(5, 1, 64, 576).bfloat16(),
        "workspace_buffer": None,
        "qk_nope_head_dim": 128,
        "kv_lora_rank": 512,
        "qk_rope_head_dim": 64,
        "block_tables": torch.arange(3 * 2 * 32).view(3, 2, 32).int(),
        "seq_lens": torch.tensor([32, 40, 100]),
        "max_seq_len": 100,
        "sparse_mla_top_k": 32,
        "bmm1_scale": 0.1,
    }
    return Call(API, {**arguments, **changes})


@pytest.mark.parametrize("api", SPARSE_ATTENTION.apis)
def test_calls_are_taken_apart(api: str) -> None:
    made = call()
    bound = SPARSE_ATTENTION.bind(Call(api, made.run))
    name = "dsa_sparse_attention_h16_ckv512_kpe64_topk32_ps64"
    assert OPERATION.naming.format(bound.constants) == name
    interface = OPERATION.interface(bound.constants)
    assert list(bound.inputs) == list(interface.inputs) and not bound.derived
    query, cache = made.run["query"].flatten(0, 1), made.run["kv_cache"].squeeze(1)
    wanted = [query[..., :512], query[..., 512:], cache[..., :512], cache[..., 512:]]
    for part, value in zip(wanted, bound.inputs.values()):
        assert torch.equal(part, value)
    assert torch.equal(bound.inputs["sparse_indices"], torch.arange(192).view(6, 32).int())
    assert bound.inputs["sm_scale"] == 0.1


def test_queries_of_different_counts_and_caches_without_heads() -> None:
    compact = {
        "query": torch.zeros(6, 16, 576).bfloat16(),
        "block_tables": torch.zeros(6, 32).int(),
        "cum_seq_lens_q": torch.tensor([0, 1, 6]),
        "kv_cache": torch.zeros(5, 32, 576).bfloat16(),
    }
    bound = SPARSE_ATTENTION.bind(call(**compact))
    assert bound.constants["page_size"] == 32
    assert bound.inputs["q_pe"].shape == (6, 16, 64)
    assert bound.inputs["ckv_cache"].shape == (5, 32, 512)


@pytest.mark.parametrize(
    ("message", "changes"),
    [
        ("sparse_mla_top_k is 0", {"sparse_mla_top_k": 0}),
        ("block_tables has shape", {"sparse_mla_top_k": 64}),
        ("sinks", {"sinks": [1.0]}),
        ("small weights", {"skip_softmax_threshold_scale_factor": 1.0}),
        ("rotary part", {"sparse_mla_top_k_lens": [1]}),
        ("part of a context", {"enable_dcp": True}),
        ("apart", {"uses_shared_paged_kv_idx": False}),
        ("bmm1_scale is a tensor", {"bmm1_scale": torch.ones(1)}),
        ("bmm2_scale is 0.5", {"bmm2_scale": 0.5}),
        ("uint8", {"kv_cache": torch.zeros(5, 64, 656, dtype=torch.uint8)}),
        ("float16", {"query": torch.zeros(3, 2, 16, 576).half()}),
        ("do not hold", {"kv_lora_rank": 448}),
        ("one key head", {"kv_cache": torch.zeros(5, 2, 64, 576).bfloat16()}),
        ("no 'block_tables'", {"block_tables": None}),
        ("leaves chosen slots out", {"seq_lens": torch.tensor([32, 31, 100])}),
    ],
)
def test_other_calls_are_refused(message: str, changes: dict[str, Any]) -> None:
    with pytest.raises(Refused, match=message):
        SPARSE_ATTENTION.bind(call(**changes))
