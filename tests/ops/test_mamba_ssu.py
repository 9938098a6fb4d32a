"""mamba_ssu_decode: the reference against plain Python, honest and wrong kernels, other calls."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, replace
from typing import Any

import pytest

from flashinfer_bench.ops.binding import Call, Refused
from flashinfer_bench.ops.draw import STYLES, Draw
from flashinfer_bench.ops.mamba_ssu import OPERATIONS
from flashinfer_bench.ops.mamba_ssu.binding import SELECTIVE_STATE_UPDATE

torch = pytest.importorskip("torch")

[OPERATION] = OPERATIONS
CONSTANTS = {"nheads": 8, "head_dim": 16, "dstate": 32, "ngroups": 2}
SIZES = tuple(CONSTANTS)


def plainly(inputs: dict[str, Any]) -> tuple[list[float], list[Any]]:
    """Output in order and the whole new state, one number at a time."""
    it = {name: value.tolist() for name, value in inputs.items()}
    state, output = it["state"], []
    heads, groups = len(it["A"]), len(it["B"][0])
    for row, slot in enumerate(it["state_batch_indices"]):
        for head in range(heads):
            b, c = (it[name][row][head * groups // heads] for name in "BC")
            for i, x in enumerate(it["x"][row][head]):
                step = math.log1p(math.exp(it["dt"][row][head][i] + it["dt_bias"][head][i]))
                old = state[slot][head][i] if slot >= 0 else [0.0] * len(b)
                decays = [math.exp(step * rate) for rate in it["A"][head][i]]
                new = [s * decay + step * x * n for s, decay, n in zip(old, decays, b)]
                output.append(sum(s * n for s, n in zip(new, c)) + it["D"][head][i] * x)
                if slot >= 0:
                    state[slot][head][i] = new
    return output, state


def test_the_reference_against_plain_python() -> None:
    source, padded = random.Random(3), 0
    for seed in range(30):
        constants = {size: source.randint(1, 5) for size in SIZES}
        constants["nheads"] *= constants["ngroups"]
        draw = Draw(seed, style=STYLES[seed % len(STYLES)])
        inputs = OPERATION.make_inputs(draw, constants, OPERATION.draw_lengths(draw, constants))
        for name in ("A", "D", "dt", "dt_bias"):  # also where they differ within a head
            noise = torch.tensor([source.random() for _ in range(inputs[name].numel())])
            inputs[name] = (inputs[name] * noise.view_as(inputs[name])).to(inputs[name].dtype)
        output, new_state = OPERATION.reference(*inputs.values(), dtype=torch.float64)
        expected_output, expected_state = plainly(inputs)
        close = {"rel": 1e-9, "abs": 1e-12}
        assert output.flatten().tolist() == pytest.approx(expected_output, **close)
        flat = torch.tensor(expected_state, dtype=torch.float64).flatten().tolist()
        assert new_state.flatten().tolist() == pytest.approx(flat, **close)
        padded += int((inputs["state_batch_indices"] < 0).sum())
    assert padded


@dataclass(frozen=True)
class Kernel:
    """float32 inside, results rounded to bf16; the fields say what it gets wrong."""

    decay_sign: float = 1.0
    skip: bool = True
    softplus: bool = True
    bias: bool = True
    interleaved: bool = False
    """Groups of heads by remainder instead of by quotient."""
    stored: bool = True
    slot_ahead: int = 0
    step_in_decay: bool = True
    step_in_input: bool = True
    state_in: torch.dtype = torch.bfloat16
    last_head: bool = True
    others: float = 1.0
    """Factor of states of no request."""
    fast_softplus: bool = False
    """log(1 + exp(x)) as it stands."""
    swapped: bool = False
    """B and C."""
    padding_stored: bool = False

    def __call__(self, inputs: dict[str, Any]) -> dict[str, Any]:
        it = {name: value.float() for name, value in inputs.items()}
        slots = inputs["state_batch_indices"].long()
        valid = slots >= 0
        read = (slots + self.slot_ahead) % len(it["state"])
        step = it["dt"] + (it["dt_bias"] if self.bias else 0)
        if self.fast_softplus:
            step = step.exp().add(1).log()
        elif self.softplus:
            step = torch.nn.functional.softplus(step)
        b, c = (self.by_head(it[name], step.shape[1]) for name in ("CB" if self.swapped else "BC"))
        old = it["state"][read].to(self.state_in).float() * valid[:, None, None, None]
        decay = it["A"] * (step[..., None] if self.step_in_decay else 1) * self.decay_sign
        taken = it["x"] * (step if self.step_in_input else 1)
        new = old * decay.exp() + taken[..., None] * b[:, :, None]
        output = (new * c[:, :, None]).sum(-1) + (it["D"] * it["x"] if self.skip else 0)
        if not self.last_head:
            output[:, -1] = output[:, 0]
        state = inputs["state"].clone()
        if self.others != 1:
            state = (it["state"] * self.others).bfloat16()
        state[slots[valid]] = inputs["state"][slots[valid]]
        if self.stored:
            state[read[valid]] = new[valid].bfloat16()
        if self.padding_stored:
            state[slots[~valid]] = new[~valid].bfloat16()
        return {"output": output.bfloat16(), "new_state": state}

    def by_head(self, values: Any, heads: int) -> Any:
        head, groups = torch.arange(heads), values.shape[1]
        return values[:, head % groups if self.interleaved else head * groups // heads]


HONEST = Kernel()
MUTANTS = {
    "growth instead of decay": replace(HONEST, decay_sign=-1.0),
    "no D": replace(HONEST, skip=False),
    "no softplus": replace(HONEST, softplus=False),
    "no dt_bias": replace(HONEST, bias=False),
    "groups interleaved": replace(HONEST, interleaved=True),
    "state not stored": replace(HONEST, stored=False),
    "the neighbour's slot": replace(HONEST, slot_ahead=1),
    "decay without dt": replace(HONEST, step_in_decay=False),
    "input without dt": replace(HONEST, step_in_input=False),
    "state in fp8": replace(HONEST, state_in=torch.float8_e4m3fn),
    "last head is the first": replace(HONEST, last_head=False),
    "states of no request zeroed": replace(HONEST, others=0.0),
    "states of no request rounded": replace(HONEST, others=1.004),
    "decay 5 % too fast": replace(HONEST, decay_sign=1.05),
    "B and C swapped": replace(HONEST, swapped=True),
    "padding stored in the last slot": replace(HONEST, padding_stored=True),
}


def faults(inputs: dict[str, Any], found: dict[str, Any]) -> list[str]:
    output, new_state = OPERATION.reference(*inputs.values(), dtype=torch.float64)
    judged = OPERATION.check(inputs, {"output": output, "new_state": new_state}, found)
    assert [it.name for it in judged] == ["output", "new_state"]
    return [it.reason for it in judged if not it.passed]


@pytest.mark.parametrize("kernel", [HONEST, replace(HONEST, fast_softplus=True)])
def test_honest_kernels_pass(kernel: Kernel) -> None:
    for seed in range(50):
        draw = Draw(seed, style=STYLES[seed % len(STYLES)])
        inputs = OPERATION.make_inputs(draw, CONSTANTS, OPERATION.draw_lengths(draw, CONSTANTS))
        assert faults(inputs, kernel(inputs)) == [], (seed, draw.style)


def test_mutants_fail() -> None:
    for seed in range(3):
        lengths = {"batch_size": 6, "state_cache_size": 9}
        inputs = OPERATION.make_inputs(Draw(seed), CONSTANTS, lengths)
        inputs["state_batch_indices"][2] = -1
        inputs["state_batch_indices"][inputs["state_batch_indices"] == 8] = next(
            slot for slot in range(9) if slot not in inputs["state_batch_indices"]
        )
        assert faults(inputs, HONEST(inputs)) == []
        wrong = {key: kernel(inputs) for key, kernel in MUTANTS.items()}
        assert [key for key, found in wrong.items() if not faults(inputs, found)] == []


def test_a_large_pool_hides_nothing() -> None:
    inputs = OPERATION.make_inputs(Draw(0), CONSTANTS, {"batch_size": 2, "state_cache_size": 99})
    inputs["state"][[s for s in range(99) if s not in inputs["state_batch_indices"]]] = math.nan
    assert faults(inputs, HONEST(inputs)) == []
    mutant = MUTANTS["state in fp8"]
    assert any("total" in reason for reason in faults(inputs, mutant(inputs)))
    found = HONEST(inputs)
    part = {**found, "new_state": found["new_state"][inputs["state_batch_indices"].long()]}
    assert any("shape" in reason for reason in faults(inputs, part))


def test_one_changed_bit_of_another_state_is_seen() -> None:
    inputs = OPERATION.make_inputs(Draw(0), CONSTANTS, {"batch_size": 2, "state_cache_size": 4})
    found = HONEST(inputs)
    [other] = [s for s in range(4) if s not in inputs["state_batch_indices"]][:1]
    found["new_state"].view(torch.int16)[other, -1, -1, -1] ^= 1
    [reason] = faults(inputs, found)
    assert "1 states of no request changed" in reason


def test_without_a_slot_no_state_is_read() -> None:
    inputs = OPERATION.make_inputs(Draw(0), CONSTANTS, {"batch_size": 2, "state_cache_size": 3})
    inputs["state_batch_indices"] = torch.tensor([1, -1]).int()
    inputs["state"][0] = inputs["state"][2] = math.nan
    output, new_state = OPERATION.reference(*inputs.values())
    assert bool(output.isfinite().all() and new_state[1].isfinite().all())
    assert bool(new_state[[0, 2]].isnan().all())


API = "flashinfer.mamba.selective_state_update"


def call(**changes: Any) -> Call:
    arguments = OPERATION.make_inputs(Draw(0), CONSTANTS, {"batch_size": 3, "state_cache_size": 5})
    return Call(API, {**arguments, "dt_softplus": True, "pad_slot_id": -1, **changes})


@pytest.mark.parametrize("api", SELECTIVE_STATE_UPDATE.apis)
def test_calls_are_bound(api: str) -> None:
    made = call()
    bound = SELECTIVE_STATE_UPDATE.bind(Call(api, made.run))
    assert bound.constants == CONSTANTS and not bound.derived
    assert list(bound.inputs) == list(OPERATION.interface(CONSTANTS).inputs)
    assert all(bound.inputs[name] is made.run[name] for name in bound.inputs)


def test_without_indices_states_stand_in_order() -> None:
    bound = SELECTIVE_STATE_UPDATE.bind(call(state_batch_indices=None))
    assert bound.derived == {"state_batch_indices"}
    assert bound.inputs["state_batch_indices"].tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("message", "changes"),
    [
        ("softplus", {"dt_softplus": False}),
        ("pad_slot_id is 0", {"pad_slot_id": 0}),
        ("z is given", {"z": torch.zeros(3, 8, 16).bfloat16()}),
        ("no 'dt_bias'", {"dt_bias": None}),
        ("disable_state_update", {"disable_state_update": True}),
        ("dst_state", {"dst_state_batch_indices": torch.zeros(3).int()}),
        ("intermediate_states_buffer", {"intermediate_states_buffer": torch.zeros(3)}),
        ("cu_seqlens", {"cu_seqlens": torch.zeros(2).int()}),
        ("cache_steps", {"cache_steps": 2}),
        ("rand_seed", {"rand_seed": torch.zeros(1).long()}),
        ("state_scale", {"state_scale": torch.zeros(5, 8, 16)}),
        ("state is torch.float32", {"state": torch.zeros(5, 8, 16, 32)}),
        ("A is torch.bfloat16", {"A": torch.zeros(8, 16, 32).bfloat16()}),
        ("int64", {"state_batch_indices": torch.arange(3)}),
        ("several heads", {"state": torch.zeros(5, 16, 32).bfloat16()}),
        ("do not fit", {"x": torch.zeros(3, 2, 8, 16).bfloat16()}),
    ],
)
def test_other_calls_are_refused(message: str, changes: dict[str, Any]) -> None:
    with pytest.raises(Refused, match=message):
        SELECTIVE_STATE_UPDATE.bind(call(**changes))
