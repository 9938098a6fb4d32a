"""How often the sampling check rejects a perfect sampler, and how often wrong ones.

    python benchmarks/sampling_check.py [--vocab 262208] [--batch 8] [--seeds 1000] [--power 20]

Samplers draw by inversion of an exact distribution in float64, so what the check says of them is
said of the distribution and not of a kernel's rounding.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from flashinfer_bench.ops.draw import Draw
from flashinfer_bench.ops.sampling import OPERATIONS, SamplingCheck, target

Inputs = dict[str, Any]
Sampler = Callable[[Inputs, int, torch.Generator], torch.Tensor]
"""inputs, draws of each row, source -> samples [draws, batch_size]."""
CHECK = SamplingCheck()


def draw(weights: torch.Tensor, each: int, source: torch.Generator) -> torch.Tensor:
    """[each, rows] samples by inversion."""
    mass = weights.cumsum(-1)
    points = torch.rand(len(mass), each, generator=source, dtype=torch.float64) * mass[:, -1:]
    return torch.searchsorted(mass, points, right=True).T.contiguous()


def honest(inputs: Inputs, each: int, source: torch.Generator) -> torch.Tensor:
    return draw(target(inputs), each, source)


def of(change: Callable[[Inputs], Inputs], inputs: Inputs, *rest: Any) -> torch.Tensor:
    """Exact samples of changed inputs."""
    return honest(change(inputs), *rest)


def temperature(inputs: Inputs) -> Inputs:
    probs = inputs["probs"].double() ** (1 / 1.05)
    return {**inputs, "probs": probs / probs.sum(-1, keepdim=True)}


def without(name: str, inputs: Inputs) -> Inputs:
    return {key: value for key, value in inputs.items() if key != name}


def neighbour(name: str, inputs: Inputs) -> Inputs:
    return {**inputs, name: inputs[name].roll(1)}


def without_last_block(inputs: Inputs) -> Inputs:
    probs = inputs["probs"].clone()
    probs[:, -max(1, probs.shape[1] // 8) :] = 0
    return {**inputs, "probs": probs / probs.sum(-1, keepdim=True)}


def nucleus(more: int, inputs: Inputs, each: int, source: torch.Generator) -> torch.Tensor:
    """`more` tokens beyond those that belong, in order of probability."""
    weights = inputs["probs"].double()
    kept = (target(inputs) > 0).sum(-1, keepdim=True) + more
    values, order = weights.sort(-1, descending=True)
    places = torch.arange(weights.shape[1])
    values = values.masked_fill(places >= kept.clamp_min(1), 0)
    return draw(torch.zeros_like(weights).scatter_(1, order, values), each, source)


def not_renormalised(inputs: Inputs, each: int, source: torch.Generator) -> torch.Tensor:
    weights = inputs["probs"].double().masked_fill(target(inputs) == 0, 0)
    weights[:, -1] += 1 - weights.sum(-1)
    return draw(weights, each, source)


def most_probable(inputs: Inputs, each: int, source: torch.Generator) -> torch.Tensor:
    tokens: torch.Tensor = inputs["probs"].argmax(-1)
    return tokens.expand(each, -1)


def after(change: Callable[[torch.Tensor], torch.Tensor], *call: Any) -> torch.Tensor:
    """Exact samples, changed."""
    return change(honest(*call))


def stale(samples: torch.Tensor) -> torch.Tensor:
    return samples[: len(samples) // 16 + 1].repeat(16, 1)[: len(samples)]


def mutants(filters: set[str], vocab: int) -> dict[str, Sampler]:
    """Wrong samplers of an operation with these filters."""
    found: dict[str, Sampler] = {
        "temperature 1.05": partial(of, temperature),
        "last eighth of the vocabulary left out": partial(of, without_last_block),
        "not renormalised": not_renormalised,
        "most probable token always": most_probable,
        "16 calls give the same samples": partial(after, stale),
        "token index + 1": partial(after, lambda it: (it + 1).clamp_max(vocab - 1)),
        "another row's samples": partial(after, lambda it: it.roll(1, 1)),
        "index = vocabulary size": partial(
            after, lambda it: it.clone().index_fill_(0, ZERO, vocab)
        ),
        "int32": partial(after, torch.Tensor.int),
    }
    for name in sorted(filters):
        found[f"no {name}"] = partial(of, partial(without, name))
        found[f"the neighbour's {name}"] = partial(of, partial(neighbour, name))
    if "top_p" in filters:
        found["crossing token left out"] = partial(nucleus, -1)
        found["one token more"] = partial(nucleus, 1)
    return found


ZERO = torch.tensor([0])


def judge(inputs: Inputs, sampler: Sampler, seed: int) -> tuple[bool, float]:
    """Whether the check passes, and the seconds it takes."""
    each = -(-CHECK.draws // inputs["probs"].shape[0])
    samples = sampler(inputs, each, torch.Generator().manual_seed(seed))
    start = time.perf_counter()
    passed = CHECK(inputs, {}, {"samples": samples})[0].passed
    return passed, time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vocab", type=int, default=262208)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=1000, help="of the perfect sampler")
    parser.add_argument("--power", type=int, default=20, help="seeds of each wrong sampler")
    args = parser.parse_args()
    print(f"vocabulary {args.vocab}, {args.batch} rows, {CHECK.draws} draws")
    for operation in OPERATIONS:
        constants = {"vocab_size": args.vocab}
        filters = set(operation.interface(constants).inputs) - {"probs"}
        samplers = {"perfect": honest, **mutants(filters, args.vocab)}
        print(f"\n{operation.kind}\n{'sampler':40} {'rejected':>12} {'seconds':>8}", flush=True)
        for name, sampler in samplers.items():
            seeds = args.seeds if sampler is honest else args.power
            results = []
            for seed in range(seeds):
                source = Draw(seed)
                inputs = operation.make_inputs(source, constants, {"batch_size": args.batch})
                results.append(judge(inputs, sampler, seed))
            rejected = sum(not passed for passed, _ in results)
            slowest = max((seconds for _, seconds in results), default=0.0)
            print(f"{name:40} {rejected:>5} / {seeds:<4} {slowest:>8.2f}", flush=True)


if __name__ == "__main__":
    main()
