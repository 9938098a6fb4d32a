"""Small random calls of any operation, its constants included."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from flashinfer_bench.ops.contract import Operation
from flashinfer_bench.ops.draw import STYLES, Draw, Style

SIZES: dict[str, Sequence[int]] = {
    "num_qo_heads": range(1, 5),
    "num_kv_heads": range(1, 4),
    "num_q_heads": range(1, 4),
    "num_v_heads": range(1, 4),
    "page_size": (2, 3, 16, 64),
    "head_size": range(2, 41),
    "vocab_size": range(1, 701),
    "nheads": range(1, 4),
    "ngroups": range(1, 4),
    "window_left": (0, 1, 5, 40),
    "logits_soft_cap": (1, 5, 30),
    "eps_exponent": range(3, 10),
    "n_group": (1, 1, 2, 3, 8),
}
OTHERWISE = range(1, 41)


@dataclass(frozen=True)
class RandomCall:
    constants: dict[str, int]
    lengths: dict[str, int]
    inputs: dict[str, Any]


def draw_constants(operation: Operation, seed: int) -> dict[str, int]:
    """Small sizes that fit together; those in brackets in half of the cases."""
    source = random.Random(f"{operation.kind} {seed}")
    constants = {}
    for name in operation.naming.constants:
        if f"{{{name}}}]" not in operation.naming.official or source.randint(0, 1):
            constants[name] = source.choice(SIZES.get(name, OTHERWISE))
    if "num_kv_heads" in constants:
        constants["num_qo_heads"] *= constants["num_kv_heads"]
    if "num_v_heads" in constants:
        constants["num_v_heads"] *= constants["num_q_heads"]
    if "ngroups" in constants:
        constants["nheads"] *= constants["ngroups"]
    if "rotary_dim" in constants:
        constants["rotary_dim"] = 2 * source.randint(1, constants["head_size"] // 2)
    if operation.op_type == "moe":
        fit_experts(constants, source)
    return constants


def fit_experts(constants: dict[str, int], source: random.Random) -> None:
    """Whole groups of experts, enough for the local ones, and enough in the best groups."""
    groups = constants.get("n_group", 1)
    local = constants.get("num_local_experts", 1)
    experts = constants.get("num_experts", local if groups == 1 else 256)
    experts = -(-max(experts, local) // groups) * groups
    if "num_experts" in constants:
        constants["num_experts"] = experts
    if "topk_group" in constants:
        constants["topk_group"] = source.randint(1, groups)
        experts = experts // groups * constants["topk_group"]
    constants["top_k"] = source.randint(1, min(8, experts))


def draw_call(
    operation: Operation, constants: dict[str, int], seed: int, style: Style = "plain"
) -> RandomCall:
    draw = Draw(seed, style=style)
    lengths = operation.draw_lengths(draw, constants)
    return RandomCall(constants, lengths, operation.make_inputs(draw, constants, lengths))


def random_calls(operation: Operation, count: int) -> Iterator[RandomCall]:
    """In all styles; each constants serve five calls. The same every time."""
    for seed in range(count):
        constants = draw_constants(operation, seed // len(STYLES))
        yield draw_call(operation, constants, seed, STYLES[seed % len(STYLES)])


def run_reference(
    operation: Operation, constants: dict[str, int], inputs: dict[str, Any], dtype: Any = None
) -> tuple[Any, ...]:
    return tuple(operation.compute(constants, inputs, dtype).values())


def as_tuple(outputs: Any) -> tuple[Any, ...]:
    return outputs if isinstance(outputs, tuple) else (outputs,)
