"""dsa_topk_indexer_fp8: the reference against decoded bytes; right and wrong choices."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from typing import Any

import pytest

from flashinfer_bench.ops.draw import STYLES, Draw
from flashinfer_bench.ops.dsa_paged import OPERATIONS
from flashinfer_bench.ops.dsa_paged.check import TopkIndicesCheck
from flashinfer_bench.ops.dsa_paged.reference import index_keys, index_scores, slots_of

torch = pytest.importorskip("torch")

OPERATION = OPERATIONS[1]
CONSTANTS = {"num_index_heads": 4, "index_head_dim": 64, "topk": 32, "page_size": 16}
LENGTHS = {"batch_size": 6, "max_num_pages": 9, "num_pages": 70}

Score = Callable[[Any, Any, Any, Any], Any]
"""q [heads, dim], keys [tokens, dim] and scales [tokens] as floats, weights -> [tokens]."""


def decoded(byte: int) -> float:
    """A float8_e4m3fn."""
    exponent, fraction = byte >> 3 & 15, byte & 7
    size = (8 + fraction) * 2.0 ** (exponent - 10) if exponent else fraction * 2.0**-9
    return -size if byte >> 7 else size


def plain_scores(inputs: dict[str, Any], row: int) -> dict[int, float]:
    """Slot -> score of each token of a request, from the cache's bytes."""
    cache = inputs["k_index_cache_fp8"]
    _, page_size, _, width = cache.shape
    dim, scores = width - 4, {}
    q = [[decoded(byte) for byte in head] for head in bytes_of(inputs["q_index_fp8"][row])]
    for position in range(int(inputs["seq_lens"][row])):
        number, token = divmod(position, page_size)
        page = int(inputs["block_table"][row, number])
        raw = bytes(bytes_of(cache[page].flatten()))
        [scale] = struct.unpack_from("<f", raw, page_size * dim + 4 * token)
        key = [decoded(byte) * scale for byte in raw[token * dim : (token + 1) * dim]]
        scores[page * page_size + token] = sum(
            weight * max(0.0, sum(a * b for a, b in zip(head, key)))
            for head, weight in zip(q, inputs["weights"][row].tolist())
        )
    return scores


def bytes_of(tensor: Any) -> Any:
    return tensor.contiguous().view(torch.uint8).tolist()


def test_the_reference_against_decoded_bytes() -> None:
    source = random.Random(7)
    for seed in range(40):
        sizes = ("num_index_heads", "index_head_dim", "topk", "page_size")
        constants = {size: source.randint(1, 7) for size in sizes}
        draw = Draw(seed, style=STYLES[seed % len(STYLES)])
        inputs = OPERATION.make_inputs(draw, constants, OPERATION.draw_lengths(draw, constants))
        topk = constants["topk"]
        found = OPERATION.reference(*inputs.values(), dtype=torch.float64, topk=topk)
        for row, indices in enumerate(found.tolist()):
            scores = plain_scores(inputs, row)
            count = min(topk, len(scores))
            assert indices[count:] == [-1] * (topk - count)
            assert len(set(indices[:count])) == count
            chosen = sorted((scores[index] for index in indices[:count]), reverse=True)
            assert chosen == pytest.approx(sorted(scores.values(), reverse=True)[:count])


def in_float32(q: Any, keys: Any, scales: Any, weights: Any) -> Any:
    return (q @ keys.T).clamp_min(0).mul(weights[:, None]).sum(0) * scales


def on_hopper(q: Any, keys: Any, scales: Any, weights: Any) -> Any:
    """Products cut off at 13 bits after the point of the largest one, 32 at a time."""
    total = torch.zeros(len(q), len(keys))
    for some_q, some_keys in zip(q.split(32, 1), keys.split(32, 1)):
        addends = torch.cat([some_q[:, None] * some_keys, total[..., None]], dim=-1)
        exponent = addends.abs().amax(-1).frexp().exponent
        step = torch.ones_like(total).ldexp(exponent - 14)
        total = (addends / step[..., None]).trunc().sum(-1) * step
    return total.clamp_min(0).mul(weights[:, None]).sum(0) * scales


def scored(inputs: dict[str, Any], row: int, score: Score) -> tuple[Any, Any]:
    """Slots of a request's tokens and their scores."""
    cache = inputs["k_index_cache_fp8"]
    pages, page_size, _, width = cache.shape
    flat = cache.reshape(pages, -1)
    keys = flat[:, : page_size * (width - 4)].clone().view(torch.float8_e4m3fn).float()
    scales = flat[:, page_size * (width - 4) :].clone().view(torch.float32)
    slots = slots_of(inputs["block_table"][row], int(inputs["seq_lens"][row]), page_size)
    keys, scales = keys.reshape(-1, width - 4)[slots], scales.flatten()[slots]
    q, weights = inputs["q_index_fp8"][row].float(), inputs["weights"][row]
    return slots, score(q, keys, scales, weights)


def choose(inputs: dict[str, Any], topk: int, score: Score = in_float32) -> Any:
    """[batch_size, topk] int32."""
    result = torch.full((len(inputs["seq_lens"]), topk), -1, dtype=torch.int32)
    for row in range(len(result)):
        slots, scores = scored(inputs, row, score)
        best = slots[scores.argsort(descending=True)][:topk]
        result[row, : len(best)] = best
    return result


def fault(inputs: dict[str, Any], found: Any) -> str:
    expected = {"topk_indices": torch.empty(found.shape)}
    [judged] = OPERATION.check(inputs, expected, {"topk_indices": found})
    assert judged.passed is not bool(judged.reason)
    return judged.reason


def make(seed: int, style: Any = "plain") -> dict[str, Any]:
    return OPERATION.make_inputs(Draw(seed, style=style), CONSTANTS, LENGTHS)


@pytest.mark.parametrize("score", [in_float32, on_hopper])
def test_honest_kernels_pass(score: Score) -> None:
    for seed in range(50):
        inputs = make(seed, STYLES[seed % len(STYLES)])
        found = choose(inputs, 32, score)
        assert fault(inputs, found) == "", seed
        shuffled = found.clone()
        for row in shuffled:
            count = int((row >= 0).sum())
            row[:count] = row[:count].flip(0)
        assert fault(inputs, shuffled) == ""


@pytest.mark.parametrize("heads", [1, 8, 64])
def test_hopper_stays_within_the_tolerance(heads: int) -> None:
    """Its scores at 128 dimensions are off by up to half of it, in float32 by a thousandth."""
    constants = {"num_index_heads": heads, "index_head_dim": 128, "topk": 64, "page_size": 64}
    lengths = {"batch_size": 1, "max_num_pages": 8, "num_pages": 8}
    worst = {in_float32: 0.0, on_hopper: 0.0}
    for seed in range(3):
        inputs = OPERATION.make_inputs(Draw(seed), constants, lengths)
        slots, _ = scored(inputs, 0, in_float32)
        keys = index_keys(inputs["k_index_cache_fp8"], slots, torch.float64)
        q, weights = inputs["q_index_fp8"][0].double(), inputs["weights"][0].double()
        exact = index_scores(q, keys, weights)
        allowed = (
            TopkIndicesCheck().rounding * keys.norm(dim=-1) * (weights * q.norm(dim=-1)).norm()
        )
        for score in worst:
            errors = (scored(inputs, 0, score)[1] - exact).abs() / allowed
            worst[score] = max(worst[score], float(errors.max()))
    assert worst[in_float32] < 0.001
    assert 0.1 < worst[on_hopper] < 0.7


WRONG_SCORES: dict[str, Score] = {
    "no relu": lambda q, k, s, w: (w @ (q @ k.T)) * s,
    "no weights": lambda q, k, s, w: (q @ k.T).clamp_min(0).sum(0) * s,
    "weights' sign lost": lambda q, k, s, w: in_float32(q, k, s, w.abs()),
    "no scales": lambda q, k, s, w: in_float32(q, k, torch.ones_like(s), w),
    "the neighbour's scale": lambda q, k, s, w: in_float32(q, k, s.roll(1), w),
    "a head left out": lambda q, k, s, w: in_float32(q[1:], k, s, w[1:]),
    "heads' weights rotated": lambda q, k, s, w: in_float32(q, k, s, w.roll(1)),
    "the first": lambda q, k, s, w: torch.arange(len(k), 0, -1.0),
    "the last": lambda q, k, s, w: torch.arange(float(len(k))),
    "scores to 4 bits": lambda q, k, s, w: in_float32(q, k, s, w).to(torch.float8_e4m3fn).float(),
    "half of the dimensions": lambda q, k, s, w: in_float32(q[:, :32], k[:, :32], s, w),
}


def next_best(inputs: dict[str, Any], found: Any) -> Any:
    """In each row the last one chosen gives way to the best one left out."""
    better = choose(inputs, found.shape[1] + 1)
    return torch.cat([better[:, : found.shape[1] - 1], better[:, -1:]], 1)


def best_dropped(inputs: dict[str, Any], found: Any) -> Any:
    return choose(inputs, found.shape[1] + 1)[:, 1:]


def local(inputs: dict[str, Any], found: Any) -> Any:
    """Positions in the sequence."""
    result = found.clone()
    for row in range(len(found)):
        slots = scored(inputs, row, in_float32)[0].tolist()
        result[row] = torch.tensor([slots.index(i) if i >= 0 else -1 for i in found[row].tolist()])
    return result


def beyond(inputs: dict[str, Any], found: Any) -> Any:
    """Tokens up to the end of the last page count."""
    ends = -(-inputs["seq_lens"] // CONSTANTS["page_size"]) * CONSTANTS["page_size"]
    return choose({**inputs, "seq_lens": ends}, found.shape[1])


WRONG_RESULTS: dict[str, Callable[[Any, Any], Any]] = {
    "the next best for the last": next_best,
    "the best dropped": best_dropped,
    "positions in the sequence": local,
    "tokens behind the end": beyond,
    "padding with 0": lambda inputs, found: found.clamp_min(0),
    "an index twice": lambda inputs, found: torch.cat([found[:, :1], found[:, :-1]], 1),
    "one index too few": lambda inputs, found: torch.cat([found[:, :-1], found[:, :1] * 0 - 1], 1),
    "the next page": lambda inputs, found: found + CONSTANTS["page_size"] * (found >= 0),
    "padding in front": lambda inputs, found: found.flip(1),
    "the request before": lambda inputs, found: found.roll(1, 0),
    "int64": lambda inputs, found: found.long(),
    "out of range": lambda inputs, found: found + (found == found.max()).int() * 10**6,
}


def test_mutants_fail() -> None:
    for seed in range(5):
        inputs = make(seed)
        inputs["seq_lens"][0] = 20
        found = choose(inputs, 32)
        assert fault(inputs, found) == ""
        wrong = {key: choose(inputs, 32, score) for key, score in WRONG_SCORES.items()}
        wrong |= {key: change(inputs, found) for key, change in WRONG_RESULTS.items()}
        assert [key for key, value in wrong.items() if not fault(inputs, value)] == []


def test_any_of_several_equal_tokens_may_be_chosen() -> None:
    inputs = make(1, "ties")
    cut = 0
    for row, indices in enumerate(choose(inputs, 32)):
        slots, scores = scored(inputs, row, in_float32)
        least = scores[torch.isin(slots, indices.long())].min()
        cut += int(
            (scores == least).sum() > (scores[torch.isin(slots, indices.long())] == least).sum()
        )
    assert cut
    reverse = {**inputs}
    found = torch.full((6, 32), -1, dtype=torch.int32)
    for row in range(6):
        slots, scores = scored(reverse, row, in_float32)
        order = scores.flip(0).argsort(descending=True, stable=True)
        best = slots.flip(0)[order][:32]
        found[row, : len(best)] = best
    assert fault(inputs, found) == ""
    assert not torch.equal(found.sort().values, choose(inputs, 32).sort().values)


def test_pages_of_requests_are_their_own() -> None:
    for seed in range(10):
        inputs = make(seed)
        counts = -(-inputs["seq_lens"] // CONSTANTS["page_size"])
        pages = [row[:count] for row, count in zip(inputs["block_table"], counts.tolist())]
        used = torch.cat(pages).tolist()
        assert len(set(used)) == len(used)
        assert int(counts.max()) == LENGTHS["max_num_pages"]
    shared = OPERATION.make_inputs(Draw(0), CONSTANTS, {**LENGTHS, "num_pages": 4})
    assert int(shared["seq_lens"].max()) <= 4 * CONSTANTS["page_size"]
