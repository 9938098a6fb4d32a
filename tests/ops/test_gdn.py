"""Gated delta rule: references against the recurrence, inputs, bindings."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest
from random_calls import RandomCall, draw_call, draw_constants, random_calls, run_reference

from flashinfer_bench.ops.binding import Argument, Call, Refused
from flashinfer_bench.ops.contract import Operation
from flashinfer_bench.ops.draw import STYLES, Draw
from flashinfer_bench.ops.gdn import DECODE, MTP, OPERATIONS
from flashinfer_bench.ops.gdn.inputs import draw_states

torch = pytest.importorskip("torch")

by_stage = pytest.mark.parametrize("operation", OPERATIONS, ids=lambda it: it.kind)
SIZE = {"num_q_heads": 2, "num_v_heads": 4, "head_size": 16}


def recurrence(inputs: dict[str, Any], token: Any, state: Any) -> tuple[list[Any], Any]:
    """Outputs of tokens, given by their places in the inputs, one head and one token at a time."""
    q, k, v, a, b = (inputs[name].double() for name in ("q", "k", "v", "a", "b"))
    A_log, dt_bias = inputs["A_log"].double(), inputs["dt_bias"].double()
    heads, outputs = v.shape[-2], []
    group, state = heads // q.shape[-2], state.double().clone()
    for place in token:
        for head in range(heads):
            query, key = q[place][head // group], k[place][head // group]
            softplus = torch.log1p(torch.exp(a[place][head] + dt_bias[head]))
            decay = torch.exp(-torch.exp(A_log[head]) * softplus)
            beta = 1 / (1 + torch.exp(-b[place][head]))
            old = decay * state[head]
            new_value = beta * v[place][head] + (1 - beta) * (old @ key)
            state[head] = old + torch.outer(new_value - old @ key, key)
            outputs.append(inputs["scale"] * (state[head] @ query))
    return outputs, state


def by_recurrence(inputs: dict[str, Any]) -> tuple[Any, Any]:
    v, size = inputs["v"], inputs["v"].shape[-1]
    zeros = torch.zeros(v.shape[-2], size, size)
    if "cu_seqlens" in inputs:
        tokens = [range(first, end) for first, end in pairwise(inputs["cu_seqlens"].tolist())]
    else:
        tokens = [[(row, place) for place in range(v.shape[1])] for row in range(len(v))]
    outputs, states = [], []
    for request, its in enumerate(tokens):
        if "initial_state" in inputs:
            state = inputs["initial_state"][inputs["initial_state_indices"][request]]
        else:
            state = zeros if inputs["state"] is None else inputs["state"][request]
        found, state = recurrence(inputs, its, state)
        outputs += found
        states.append(state)
    output = torch.stack(outputs).view(v.shape)
    if "initial_state" not in inputs:
        return output, torch.stack(states)
    pool = inputs["initial_state"].double()
    for slot, state in zip(inputs["initial_state_indices"].tolist(), states):
        pool[slot] = state
    return output, pool


def agree(operation: Operation, call: RandomCall) -> None:
    found = run_reference(operation, call.constants, call.inputs, torch.float64)
    for one, other in zip(found, by_recurrence(call.inputs), strict=True):
        assert one.dtype == torch.float64
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-11)


@by_stage
def test_the_reference_is_the_recurrence(operation: Operation) -> None:
    for seed in range(25):
        style = STYLES[seed % len(STYLES)]
        agree(operation, draw_call(operation, draw_constants(operation, seed), seed, style))


@by_stage
def test_float32_is_close_to_float64(operation: Operation) -> None:
    for call in random_calls(operation, 25):
        exact = run_reference(operation, call.constants, call.inputs, torch.float64)
        for one, other in zip(run_reference(operation, call.constants, call.inputs), exact):
            scale = float(other.abs().max())
            assert float((one - other).abs().max()) <= 2e-5 * scale


def test_extreme_gates_stay_exact() -> None:
    """Decays of exp(-1000) and of 1 in one chunk: their quotients overflow."""
    operation = OPERATIONS[2]
    lengths = {"total_seq_len": 70, "num_seqs": 1, "len_cu_seqlens": 2}
    inputs = operation.make_inputs(Draw(1), SIZE, lengths)
    inputs["a"][::3], inputs["a"][1::3] = 64.0, -64.0
    inputs["b"][::2], inputs["b"][1::2] = 40.0, -40.0
    agree(operation, RandomCall(SIZE, lengths, inputs))
    float32 = run_reference(operation, SIZE, inputs)
    assert all(bool(it.isfinite().all()) for it in float32)


def test_a_request_without_tokens_keeps_its_state() -> None:
    operation = OPERATIONS[2]
    lengths = {"total_seq_len": 5, "num_seqs": 3, "len_cu_seqlens": 4}
    inputs = operation.make_inputs(Draw(1), SIZE, lengths)
    inputs["cu_seqlens"] = torch.tensor([0, 2, 2, 5])
    inputs["state"] = draw_states(Draw(2), SIZE, 3)
    _, new_state = run_reference(operation, SIZE, inputs)
    assert torch.equal(new_state[1], inputs["state"][1])
    inputs["state"] = None
    assert not run_reference(operation, SIZE, inputs)[1][1].any()


def test_inputs_are_left_as_they_are_and_so_are_other_slots() -> None:
    operation = OPERATIONS[1]
    lengths = {"batch_size": 2, "seq_len": 3, "pool_size": 6}
    inputs = operation.make_inputs(Draw(3), SIZE, lengths)
    inputs["intermediate_states_buffer"] = torch.zeros(6, 3, 4, 16, 16)
    before = inputs["initial_state"].clone()
    _, final = run_reference(operation, SIZE, inputs)
    assert torch.equal(inputs["initial_state"], before)
    assert not inputs["intermediate_states_buffer"].any()
    used = set(inputs["initial_state_indices"].tolist())
    changed = {slot for slot in range(6) if not torch.equal(final[slot], before[slot])}
    assert changed == used and len(used) == 2


def test_drawn_states_are_as_large_as_those_of_a_running_net() -> None:
    operation = OPERATIONS[2]
    lengths = {"total_seq_len": 2000, "num_seqs": 1, "len_cu_seqlens": 2}
    sizes = {**SIZE, "head_size": 128}
    inputs = {**operation.make_inputs(Draw(4), sizes, lengths), "state": None}
    reached = run_reference(operation, sizes, inputs)[1].norm(dim=(-1, -2))
    drawn = draw_states(Draw(5), sizes, 1).norm(dim=(-1, -2))
    assert 0.1 < float(reached.min() / drawn.max()) < float(reached.max() / drawn.min()) < 10


def test_some_calls_have_no_state_or_a_request_without_tokens() -> None:
    for operation in (OPERATIONS[0], OPERATIONS[2]):
        states = [call.inputs["state"] is None for call in random_calls(operation, 100)]
        assert 0 < sum(states) < 100
    edges = [call.inputs["cu_seqlens"].diff() for call in random_calls(OPERATIONS[2], 100)]
    assert any(bool((it == 0).any()) for it in edges)


def zeros(*shape: int, dtype: Any = torch.bfloat16) -> Any:
    return torch.zeros(shape, dtype=dtype)


def call(tokens: int = 1, **run: Any) -> Call:
    arguments = {
        "q": zeros(3, tokens, 2, 16) + 2,
        "k": zeros(3, tokens, 2, 16) + 3,
        "v": zeros(3, tokens, 4, 16),
        "A_log": zeros(4, dtype=torch.float32),
        "a": zeros(3, tokens, 4),
        "dt_bias": zeros(4, dtype=torch.float32),
        "b": zeros(3, tokens, 4),
        "scale": None,
        "use_qk_l2norm": True,
    }
    if tokens == 1:
        arguments["state"] = zeros(3, 4, 16, 16, dtype=torch.float32)
        return Call(DECODE.apis[0], {**arguments, **run})
    arguments["initial_state"] = zeros(7, 4, 16, 16, dtype=torch.float32)
    arguments["initial_state_indices"] = torch.arange(3, dtype=torch.int32)
    return Call(MTP.apis[0], {**arguments, "disable_state_update": False, **run})


@pytest.mark.parametrize(("binding", "tokens"), [(DECODE, 1), (MTP, 4)], ids=["decode", "mtp"])
def test_calls_are_bound(binding: Any, tokens: int) -> None:
    bound = binding.bind(call(tokens))
    assert bound.constants == SIZE
    assert bound.inputs["scale"] == 0.25 and bound.derived == {"scale"}
    assert torch.equal(bound.inputs["q"], zeros(3, tokens, 2, 16) + 0.25)
    assert bound.inputs["q"].dtype == torch.bfloat16
    given = call(tokens, use_qk_l2norm=False, scale=0.5)
    bound = binding.bind(given)
    assert bound.inputs["k"] is given.run["k"] and bound.inputs["scale"] == 0.5
    assert not bound.derived
    names = set(OPERATIONS[0 if tokens == 1 else 1].interface(SIZE).inputs)
    assert set(bound.inputs) == names - {"intermediate_states_buffer"}
    assert all(isinstance(it, Argument) and it.step == "run" for it in binding.inputs.values())


@pytest.mark.parametrize(
    "run",
    [
        {"state": None},
        {"state": zeros(3, 4, 16, 16)},
        {"state": zeros(3, 4, 16, 8, dtype=torch.float32)},
        {"state": None, "initial_state": zeros(7, 4, 16, 16, dtype=torch.float32)},
        {"output_state_indices": torch.arange(3)},
        {"q": zeros(3, 1, 2, 16).half()},
        {"k": zeros(3, 1, 4, 16)},
        {"v": zeros(3, 1, 3, 16)},
        {"v": zeros(3, 1, 4, 32)},
        {"dt_bias": zeros(4)},
        {"a": None},
        {name: zeros(3, 4, heads, 16) for name, heads in (("q", 2), ("k", 2), ("v", 4))},
    ],
)
def test_other_decode_calls_are_refused(run: dict[str, Any]) -> None:
    with pytest.raises(Refused):
        DECODE.bind(call(**run))


@pytest.mark.parametrize(
    "run",
    [
        {"disable_state_update": True},
        {"disable_state_update": None},
        {"intermediate_states_buffer": zeros(3, 4, 4, 16, 16, dtype=torch.float32)},
        {"ssm_state_indices": torch.zeros(3, 4, dtype=torch.int32)},
        {"output_state_indices": torch.arange(3)},
        {"initial_state": zeros(7, 4, 16, 16)},
        {"initial_state_indices": torch.arange(3)},
        {name: zeros(3, 1, heads, 16) for name, heads in (("q", 2), ("k", 2), ("v", 4))},
    ],
)
def test_other_mtp_calls_are_refused(run: dict[str, Any]) -> None:
    with pytest.raises(Refused):
        MTP.bind(call(4, **run))


def test_decays_and_biases_are_those_of_a_trained_layer() -> None:
    inputs = OPERATIONS[0].make_inputs(Draw(0), {**SIZE, "num_v_heads": 64}, {"batch_size": 1})
    rates = inputs["A_log"].exp()
    assert 1 <= float(rates.min()) < 2 and 15 < float(rates.max()) <= 16
    steps = torch.nn.functional.softplus(inputs["dt_bias"])
    assert 9e-4 < float(steps.min()) < 2e-3 and 0.08 < float(steps.max()) < 0.11
    assert math.isclose(inputs["scale"], 0.25)
