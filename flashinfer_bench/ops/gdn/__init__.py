"""The gated delta rule of Gated DeltaNet layers: linear attention whose state forgets and corrects.

Each value head has a state of [head_size, head_size], keys last. A token multiplies it with its
decay exp(-exp(A_log) * softplus(a + dt_bias)), then moves what the state returns for the token's
key towards the token's value, by the share sigmoid(b); the output is what the state then returns
for the query. A query and key head serves num_v_heads / num_q_heads value heads that follow one
another.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from flashinfer_bench.ops.binding import Binding, Unbound
from flashinfer_bench.ops.checks import Bounds, Numeric
from flashinfer_bench.ops.contract import (
    Constants,
    Cost,
    Example,
    Interface,
    Lengths,
    Operation,
)
from flashinfer_bench.ops.gdn.binding import DECODE, MTP, PREFILL
from flashinfer_bench.ops.gdn.inputs import (
    draw_decode_lengths,
    draw_mtp_lengths,
    draw_prefill_lengths,
    make_decode_inputs,
    make_mtp_inputs,
    make_prefill_inputs,
)
from flashinfer_bench.ops.gdn.interface import decode_interface, mtp_interface, prefill_interface
from flashinfer_bench.ops.gdn.reference import gdn_decode, gdn_mtp, gdn_prefill
from flashinfer_bench.ops.naming import Naming

if TYPE_CHECKING:
    from flashinfer_bench.ops.draw import Draw

_TF32 = "kernels may multiply in tf32, and their exponentials are approximate"
_STEP_BY_STEP = {
    "output": Bounds(row=2.0, reason=_TF32),
    "new_state": Bounds(eps=2.0**-11, reason=_TF32),
}
_REASON = (
    "kernels multiply chunks of 64 tokens on tensor cores, with states, updates and inverses "
    "rounded to bfloat16, which costs about {}"
)
_IN_CHUNKS = {
    "output": Bounds(
        element=16.0,
        row=3.5,
        total=1.0,
        gain=0.75,
        reason=_REASON.format("0.5 eps, and five times that in single rows of small heads"),
    ),
    "new_state": Bounds(
        element=8.0,
        row=3.5,
        total=1.0,
        gain=0.75,
        eps=2.0**-7,
        reason=_REASON.format("0.4 eps, and more in single heads"),
    ),
}


def _cost(constants: Constants, tokens: int, states: int, other_bytes: int = 0) -> Cost:
    """Each token multiplies the state with a key and a query and adds an outer product to it.

    `states` are those read and those written.
    """
    heads, size = constants["num_v_heads"], constants["head_size"]
    vectors = 2 * (constants["num_q_heads"] + heads) * size + 2 * heads
    moved = 2 * tokens * vectors + 4 * states * heads * size * size + 8 * heads
    return Cost(moved + other_bytes, 6 * tokens * heads * size * size)


def _decode_cost(constants: Constants, lengths: Lengths) -> Cost:
    """With a state that is read."""
    batch = lengths["batch_size"]
    return _cost(constants, batch, 2 * batch)


def _mtp_cost(constants: Constants, lengths: Lengths) -> Cost:
    """The pool updated in place."""
    batch = lengths["batch_size"]
    return _cost(constants, batch * lengths["seq_len"], 2 * batch, 4 * batch)


def _prefill_cost(constants: Constants, lengths: Lengths) -> Cost:
    """Without a state that is read, as new requests have none."""
    requests = lengths["num_seqs"]
    return _cost(constants, lengths["total_seq_len"], requests, 8 * (requests + 1))


def _operation(
    stage: str,
    summary: str,
    interface: Callable[[Constants], Interface],
    reference: Callable[..., Any],
    inputs: Callable[[Draw, Constants, Lengths], dict[str, Any]],
    lengths: Callable[[Draw, Constants], dict[str, int]],
    bounds: Mapping[str, Bounds],
    cost: Callable[[Constants, Lengths], Cost],
    binding: Binding | Unbound,
    example: Example,
    *apis: str,
) -> Operation:
    stem = f"gdn_{stage}_qk{{num_q_heads}}_v{{num_v_heads}}_d{{head_size}}"
    return Operation(
        op_type="gdn",
        kind=f"gdn_{stage}",
        summary=summary,
        naming=Naming(f"{stem}_k_last", (stem,)),
        interface=interface,
        reference=reference,
        make_inputs=inputs,
        draw_lengths=lengths,
        # in a single head, outputs may cancel to nothing while what kernels round does not
        check=Numeric(bounds, row_dimensions=2),
        cost=cost,
        binding=binding,
        example=example,
        tags=(f"stage:{stage}", "layout:k-last", *(f"fi_api:{api}" for api in apis)),
    )


OPERATIONS = (
    _operation(
        "decode",
        "Gated delta rule of one token for each request, with its state.",
        decode_interface,
        gdn_decode,
        make_decode_inputs,
        draw_decode_lengths,
        _STEP_BY_STEP,
        _decode_cost,
        DECODE,
        Example(
            "gdn_decode_qk16_v32_d128_k_last",
            {"batch_size": 64},
            "Qwen3 Next 80B, 64 requests",
        ),
        "flashinfer.gdn.gated_delta_rule_decode",
    ),
    _operation(
        "mtp",
        "Gated delta rule of several drafted tokens for each request, with states of a pool.",
        mtp_interface,
        gdn_mtp,
        make_mtp_inputs,
        draw_mtp_lengths,
        {"output": _STEP_BY_STEP["output"], "final_state": _STEP_BY_STEP["new_state"]},
        _mtp_cost,
        MTP,
        Example(
            "gdn_mtp_qk16_v32_d128_k_last",
            {"batch_size": 16, "seq_len": 4, "pool_size": 64},
            "Qwen3 Next 80B, 16 requests of 4 drafted tokens",
        ),
    ),
    _operation(
        "prefill",
        "Gated delta rule of all tokens of each request, from its state or from zeros.",
        prefill_interface,
        gdn_prefill,
        make_prefill_inputs,
        draw_prefill_lengths,
        _IN_CHUNKS,
        _prefill_cost,
        PREFILL,
        Example(
            "gdn_prefill_qk16_v32_d128_k_last",
            {"total_seq_len": 4096, "num_seqs": 4, "len_cu_seqlens": 5},
            "Qwen3 Next 80B, 4 prompts of 4,096 tokens together",
        ),
        "flashinfer.gdn.chunk_gated_delta_rule",
    ),
)
