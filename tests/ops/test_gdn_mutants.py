"""What the check of the gated delta rule lets pass: honest kernels, and none of their mutants."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest
from random_calls import run_reference

from flashinfer_bench.ops.draw import STYLES, Draw
from flashinfer_bench.ops.registry import parse_name

torch = pytest.importorskip("torch")

NAMES = tuple(f"gdn_{stage}_qk2_v4_d32_k_last" for stage in ("decode", "mtp", "prefill"))
LENGTHS = {
    "batch_size": 3,
    "seq_len": 5,
    "pool_size": 7,
    "total_seq_len": 150,
    "num_seqs": 2,
    "len_cu_seqlens": 3,
}

Rounding = Callable[[Any], Any]


@dataclass(frozen=True)
class Gates:
    """Decay and beta of each token, float32; the fields say what is wrong with them."""

    sign: float = -1.0
    decays: bool = True
    softplus: Callable[[Any], Any] = torch.nn.functional.softplus
    bias: bool = True
    share: Callable[[Any], Any] = torch.sigmoid

    def __call__(self, A_log: Any, a: Any, dt_bias: Any, b: Any) -> tuple[Any, Any]:
        step = self.softplus(a.float() + dt_bias if self.bias else a.float())
        log_decay = self.sign * A_log.exp() * step
        return log_decay if self.decays else log_decay * 0, self.share(b.float())


@dataclass(frozen=True)
class Steps:
    """One token after the other in float32, as kernels for decode compute."""

    gates: Gates = Gates()
    interleaved: bool = False
    """Key heads by remainder instead of by quotient."""
    transposed: bool = False
    """State taken as [key, value]."""
    early: bool = False
    """Output from the state before the token."""
    corrects: bool = True
    """Whether the value that the state returns is subtracted."""
    forgets_first: bool = True
    """Whether that is read from the state after its decay."""
    updates: bool = True
    scaled: bool = True
    skipped: int | None = None
    """A token that is left out."""
    rounded: Rounding = lambda x: x
    """Of the state where it is multiplied."""

    def __call__(
        self, q: Any, k: Any, v: Any, state: Any, gates: tuple[Any, ...], scale: float
    ) -> tuple[Any, Any]:
        log_decay, beta = self.gates(*gates)
        head = torch.arange(v.shape[2])
        of_head = head % q.shape[2] if self.interleaved else head * q.shape[2] // v.shape[2]
        q, k, v = q[:, :, of_head].float(), k[:, :, of_head].float(), v.float()
        if state is None:
            state = torch.zeros(len(v), v.shape[2], v.shape[3], v.shape[3])
        first = state
        state, outputs = state.mT if self.transposed else state, torch.zeros_like(v)
        for token in range(v.shape[1]):
            if token == self.skipped:
                continue
            decay, share = log_decay[:, token, :, None].exp(), beta[:, token, :, None]
            decayed = decay.unsqueeze(-1) * state
            read = self.rounded(decayed if self.forgets_first else state)
            returned = (read @ k[:, token].unsqueeze(-1)).squeeze(-1)
            change = share * (v[:, token] - returned * self.corrects)
            after = decayed + change.unsqueeze(-1) * k[:, token].unsqueeze(-2)
            source = self.rounded(state if self.early else after)
            outputs[:, token] = (source @ q[:, token].unsqueeze(-1)).squeeze(-1)
            state = after
        state = state.mT if self.transposed else state
        outputs = outputs * scale if self.scaled else outputs
        return outputs.bfloat16(), state if self.updates else first


def to_bfloat16(x: Any) -> Any:
    return x.bfloat16().float()


@dataclass(frozen=True)
class Chunks:
    """64 tokens at once with bfloat16 factors, as kernels for prefill compute on tensor cores."""

    size: int = 64
    kept: bool = True
    """Whether a chunk's state goes through decay."""
    between: bool = True
    """Whether tokens of a chunk see each other's updates."""

    def __call__(
        self, q: Any, k: Any, v: Any, state: Any, gates: tuple[Any, ...], scale: float
    ) -> tuple[Any, Any]:
        log_decay, beta = (it.transpose(1, 2) for it in Gates()(*gates))
        group = v.shape[2] // q.shape[2]
        q, k = (it.float().repeat_interleave(group, 2).transpose(1, 2) for it in (q, k))
        v = v.float().transpose(1, 2)
        if state is None:
            state = torch.zeros(*v.shape[:2], v.shape[3], v.shape[3])
        outputs = torch.zeros_like(v)
        for first in range(0, v.shape[2], self.size):
            now = slice(first, first + self.size)
            parts = (it[:, :, now] for it in (q, k, v, log_decay, beta))
            outputs[:, :, now], state = self.chunk(*parts, state)
        return (outputs * scale).bfloat16().transpose(1, 2), state

    def chunk(
        self, q: Any, k: Any, v: Any, log_decay: Any, beta: Any, state: Any
    ) -> tuple[Any, Any]:
        total = log_decay.cumsum(-1)
        decay = (total.unsqueeze(-1) - total.unsqueeze(-2)).clamp_max(0).exp().tril()
        start, share = total.exp().unsqueeze(-1), beta.unsqueeze(-1)
        mixing = (share * decay * (k @ k.mT)).tril(-1) * self.between
        solved = torch.linalg.inv(torch.eye(mixing.shape[-1]) + to_bfloat16(mixing))
        wanted = share * (v - start * (k @ to_bfloat16(state).mT))
        updates = to_bfloat16(to_bfloat16(solved) @ to_bfloat16(wanted))
        inside = to_bfloat16(decay * (q @ k.mT)) @ updates
        output = start * (q @ to_bfloat16(state).mT) + inside
        last = to_bfloat16(decay[..., -1, :].unsqueeze(-1) * updates)
        return output, (start[..., -1:, :] if self.kept else 1) * state + last.mT @ k


Kernel = Steps | Chunks


def run(kernel: Kernel, inputs: dict[str, Any], shift: int = 0) -> tuple[Any, Any]:
    """Outputs of a call; states of mtp are taken from a slot that is `shift` further."""
    gates = tuple(inputs[name] for name in ("A_log", "a", "dt_bias", "b"))
    q, k, v, scale = (inputs[name] for name in ("q", "k", "v", "scale"))
    if "initial_state" in inputs:
        pool, slots = inputs["initial_state"].clone(), inputs["initial_state_indices"].long()
        output, states = kernel(q, k, v, pool[(slots + shift) % len(pool)], gates, scale)
        pool[slots] = states
        return output, pool
    if "cu_seqlens" not in inputs:
        return kernel(q, k, v, inputs["state"], gates, scale)
    outputs, states = [], []
    A_log, a, dt_bias, b = gates
    for request, (first, end) in enumerate(pairwise(inputs["cu_seqlens"].tolist())):
        state = None if inputs["state"] is None else inputs["state"][request, None]
        its = [it[None, first:end] for it in (q, k, v)]
        output, state = kernel(
            *its, state, (A_log, a[None, first:end], dt_bias, b[None, first:end]), scale
        )
        outputs.append(output[0])
        states.append(state[0])
    return torch.cat(outputs), torch.stack(states)


def honest_kernels(name: str) -> dict[str, Kernel]:
    kernels: dict[str, Kernel] = {"float32": Steps()}
    if "prefill" in name:
        kernels |= {"bfloat16 factors": Chunks(), "small chunks": Chunks(size=16)}
    else:
        kernels["tf32 factors"] = Steps(rounded=to_tf32)
    return kernels


def to_tf32(x: Any) -> Any:
    return (x.contiguous().view(torch.int32) & -(1 << 13)).view(torch.float32)


def broken_kernels(name: str) -> dict[str, Kernel]:
    kernels: dict[str, Kernel] = {
        "growth instead of decay": Steps(Gates(sign=1.0)),
        "no decay": Steps(Gates(decays=False)),
        "no softplus": Steps(Gates(softplus=lambda x: x)),
        "exponential for softplus": Steps(Gates(softplus=torch.exp)),
        "no dt_bias": Steps(Gates(bias=False)),
        "beta of one": Steps(Gates(share=torch.ones_like)),
        "b as beta": Steps(Gates(share=lambda b: b)),
        "heads interleaved": Steps(interleaved=True),
        "state transposed": Steps(transposed=True),
        "output of the state before": Steps(early=True),
        "nothing subtracted": Steps(corrects=False),
        "subtracted before decay": Steps(forgets_first=False),
        "state not updated": Steps(updates=False),
        "no scale": Steps(scaled=False),
        "first token skipped": Steps(skipped=0),
    }
    if "prefill" in name:
        kernels["no decay between chunks"] = Chunks(kept=False)
        kernels["tokens of a chunk apart"] = Chunks(between=False)
        for token in (63, 64):
            kernels[f"token {token} skipped"] = Steps(skipped=token)
    return kernels


def faults(name: str, inputs: dict[str, Any], found: tuple[Any, Any]) -> list[str]:
    operation, constants = parse_name(name)
    outputs = operation.interface(constants).outputs
    expected = run_reference(operation, constants, inputs, torch.float64)
    judged = operation.check(inputs, dict(zip(outputs, expected)), dict(zip(outputs, found)))
    return [f"{it.name}: {it.reason}" for it in judged if not it.passed]


@pytest.mark.parametrize("name", NAMES)
def test_honest_kernels_pass(name: str) -> None:
    operation, constants = parse_name(name)
    for seed in range(50):
        draw = Draw(seed, style=STYLES[seed % len(STYLES)])
        inputs = operation.make_inputs(draw, constants, operation.draw_lengths(draw, constants))
        kernels = honest_kernels(name)
        chosen = list(kernels)[seed // len(STYLES) % len(kernels)]
        found = run(kernels[chosen], inputs)
        assert faults(name, inputs, found) == [], (seed, draw.style, chosen)


@pytest.mark.parametrize("name", NAMES)
def test_mutants_fail(name: str) -> None:
    operation, constants = parse_name(name)
    axes = operation.interface(constants).axes
    lengths = {axis: LENGTHS[axis] for axis, length in axes.items() if length is None}
    for seed in (1, 2, 4):
        inputs = operation.make_inputs(Draw(seed), constants, lengths)
        honest = run(Steps(), inputs)
        assert faults(name, inputs, honest) == []
        wrong = {key: run(kernel, inputs) for key, kernel in broken_kernels(name).items()}
        output, state = honest
        wrong["output 2 % too large"] = ((1.02 * output.float()).bfloat16(), state)
        wrong["state 1 % too large"] = (output, 1.01 * state)
        wrong["a wrong token"] = (torch.cat([output[1:2], output[1:]]), state)
        wrong["states of other requests"] = (output, state.roll(1, 0))
        if "prefill" not in name:
            wrong["state stored in bfloat16"] = (output, to_bfloat16(state))
        if "initial_state" in inputs:
            wrong["slot off by one"] = run(Steps(), inputs, shift=1)
            wrong["pool left as it was"] = (output, inputs["initial_state"])
        passing = [key for key, found in wrong.items() if not faults(name, inputs, found)]
        assert passing == [] and len(wrong) >= 8, seed
