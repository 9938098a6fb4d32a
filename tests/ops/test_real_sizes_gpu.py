"""References at the sizes of known models, on a GPU, against float64 written another way."""

from __future__ import annotations

import secrets
from itertools import pairwise
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from random_calls import run_reference  # noqa: E402

from flashinfer_bench.ops.checks import Bounds, judge  # noqa: E402
from flashinfer_bench.ops.contract import Operation  # noqa: E402
from flashinfer_bench.ops.draw import STYLES, Draw  # noqa: E402
from flashinfer_bench.ops.registry import operations, parse_name  # noqa: E402

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU"),
]

Inputs = dict[str, Any]
CLOSE = Bounds(eps=2.0**-36)
"""For results of float64: rounding errors of some thousand sums."""


def example_inputs(operation: Operation, seed: int | None = None) -> tuple[dict[str, int], Inputs]:
    _, constants = parse_name(operation.example.name)
    draw = Draw(secrets.randbits(32) if seed is None else seed, device="cuda")
    return constants, operation.make_inputs(draw, constants, operation.example.lengths)


def kinds(op_type: str) -> list[Operation]:
    return list(operations(op_type))


def by_kind(operation: Operation) -> str:
    return operation.kind


def assert_equal(
    operation: Operation, constants: dict[str, int], inputs: Inputs, exact: Any
) -> None:
    """The reference in float64 is `exact`; in float32, rounded, it passes as any kernel does."""
    outputs = operation.interface(constants).outputs
    found = run_reference(operation, constants, inputs, torch.float64)
    for name, one, other in zip(outputs, found, exact, strict=True):
        judged = judge(name, other, one, CLOSE)
        assert judged.passed, judged
    expected = dict(zip(outputs, exact))
    rounded = {
        name: value.to(getattr(torch, spec.dtype))
        for (name, spec), value in zip(
            outputs.items(), run_reference(operation, constants, inputs), strict=True
        )
    }
    assert all(it.passed for it in operation.check(inputs, expected, rounded))


@pytest.mark.parametrize("operation", kinds("gdn"), ids=by_kind)
def test_gdn_is_its_recurrence(operation: Operation) -> None:
    constants, inputs = example_inputs(operation)
    assert_equal(operation, constants, inputs, by_recurrence(inputs))


def by_recurrence(inputs: Inputs) -> tuple[Any, Any]:
    """One token after another, all heads of all requests of a batch at once."""
    q, k, v, a, b = (inputs[name].double() for name in ("q", "k", "v", "a", "b"))
    group = v.shape[-2] // q.shape[-2]
    q, k = (it.repeat_interleave(group, dim=-2) for it in (q, k))
    step = torch.log1p(torch.exp(a + inputs["dt_bias"].double()))
    decay = torch.exp(-torch.exp(inputs["A_log"].double()) * step)
    beta = 1 / (1 + torch.exp(-b))
    tokens = (q, k, v, decay, beta)
    if "cu_seqlens" in inputs:
        edges = inputs["cu_seqlens"].tolist()
        requests = [[it[None, i:j] for it in tokens] for i, j in pairwise(edges)]
        before = inputs["state"]
        results = [
            scan(*its, None if before is None else before[i : i + 1])
            for i, its in enumerate(requests)
        ]
        output = torch.cat([it[0][0] for it in results])
        return inputs["scale"] * output, torch.cat([it[1] for it in results])
    if "initial_state" not in inputs:
        output, state = scan(*tokens, inputs["state"])
        return inputs["scale"] * output, state
    pool, slots = inputs["initial_state"].double(), inputs["initial_state_indices"].long()
    output, states = scan(*tokens, pool[slots])
    pool[slots] = states
    return inputs["scale"] * output, pool


def scan(q: Any, k: Any, v: Any, decay: Any, beta: Any, state: Any) -> tuple[Any, Any]:
    """[batch, tokens, heads, size] and [batch, tokens, heads]."""
    batch, tokens, heads, size = v.shape
    if state is None:
        state = torch.zeros(batch, heads, size, size, device=v.device)
    state, outputs = state.double(), []
    for t in range(tokens):
        state = state * decay[:, t, :, None, None]
        seen = (state * k[:, t, :, None, :]).sum(-1)
        change = (v[:, t] - seen) * beta[:, t, :, None]
        state = state + change[..., None] * k[:, t, :, None, :]
        outputs.append((state * q[:, t, :, None, :]).sum(-1))
    return torch.stack(outputs, dim=1), state


@pytest.mark.parametrize("operation", kinds("moe"), ids=by_kind)
def test_experts_are_a_sum_over_all_experts(operation: Operation) -> None:
    constants, inputs = example_inputs(operation)
    exact = every_expert(operation.kind, inputs, constants)
    assert_equal(operation, constants, inputs, (exact,))


def every_expert(kind: str, inputs: Inputs, constants: dict[str, int]) -> Any:
    """Each expert for all tokens, times a dense table of weights."""
    x = inputs["hidden_states"].double()
    if "hidden_states_scale" in inputs:
        tokens = len(x)
        blocks = x.view(tokens, -1, 128) * inputs["hidden_states_scale"].double().T[..., None]
        x = blocks.view(tokens, -1)
    weights = routing(kind, inputs, constants)
    first, tensor = int(inputs.get("local_expert_offset", 0)), "output1_scales_scalar" in inputs
    output = torch.zeros_like(x)
    for e in range(len(inputs["gemm1_weights"])):
        weight = weights[:, first + e, None]
        on_input = tensor and "routing_bias" in inputs
        up, gate = ((x * weight if on_input else x) @ dense(inputs, "gemm1", e).T).chunk(2, -1)
        if tensor:
            up = up * inputs["output1_scales_scalar"][e].double()
            gate = gate * inputs["output1_scales_gate_scalar"][e].double()
        added = (up * gate / (1 + torch.exp(-gate))) @ dense(inputs, "gemm2", e).T
        if tensor:
            added = added * inputs["output2_scales_scalar"][e].double()
        output += added if on_input else added * weight
    return output


def dense(inputs: Inputs, name: str, e: int) -> Any:
    matrix = inputs[f"{name}_weights"][e].double()
    if f"{name}_weights_scale" not in inputs:
        return matrix
    rows, columns = matrix.shape
    blocks = matrix.view(rows // 128, 128, columns // 128, 128)
    scales = inputs[f"{name}_weights_scale"][e].double()[:, None, :, None]
    return (blocks * scales).view(rows, columns)


def routing(kind: str, inputs: Inputs, constants: dict[str, int]) -> Any:
    """[tokens, experts] weights, zero for those that are not chosen."""
    if kind.endswith("routed_moe"):
        packed = inputs["topk_ids"]
        shape = (len(packed), len(inputs["gemm1_weights"]))
        values = (packed & 0xFFFF).to(torch.uint16).view(torch.bfloat16).double()
        table = torch.zeros(shape, dtype=torch.float64, device=packed.device)
        return table.scatter_add_(1, (packed >> 16).long(), values)
    logits = inputs["routing_logits"].double()
    if "ds_routing" in kind:
        return grouped(logits, inputs, constants)
    if "routing_bias" in inputs:
        biased = logits + inputs["routing_bias"].double()
        best = biased == biased.amax(-1, keepdim=True)
        return best * torch.sigmoid(biased)
    least = logits.sort(-1, descending=True).values[:, constants["top_k"] - 1, None]
    return logits.masked_fill(logits < least, -torch.inf).softmax(-1)


def grouped(logits: Any, inputs: Inputs, constants: dict[str, int]) -> Any:
    """By sorting, with thresholds in place of indices."""
    scores = torch.sigmoid(logits)
    biased = (scores + inputs["routing_bias"].double()).unflatten(-1, (constants["n_group"], -1))
    group = biased.sort(-1, descending=True).values[..., :2].sum(-1)
    least = group.sort(-1, descending=True).values[:, constants["topk_group"] - 1, None]
    biased = biased.masked_fill((group < least)[..., None], -torch.inf).flatten(1)
    least = biased.sort(-1, descending=True).values[:, constants["top_k"] - 1, None]
    kept = scores * (biased >= least)
    return kept / kept.sum(-1, keepdim=True) * float(inputs["routed_scaling_factor"])


@pytest.mark.filterwarnings("default")
def test_deepseek_routing_is_that_of_flashinfer() -> None:
    fused = pytest.importorskip("flashinfer.fused_moe")
    [operation] = [it for it in kinds("moe") if "ds_routing" in it.kind]
    from flashinfer_bench.ops.moe.reference import route_deepseek

    constants, _ = example_inputs(operation)
    for seed in range(20):
        draw = Draw(seed, device="cuda", style=STYLES[seed % len(STYLES)])
        inputs = operation.make_inputs(draw, constants, {"seq_len": 256})
        logits, bias = inputs["routing_logits"], inputs["routing_bias"].float()
        sizes = [constants[name] for name in ("n_group", "topk_group", "top_k")]
        values = torch.empty(len(logits), sizes[2], device="cuda")
        chosen = torch.empty(len(logits), sizes[2], dtype=torch.int32, device="cuda")
        fused.fused_topk_deepseek(logits, bias, *sizes, 2.5, values, chosen)
        top_k, n_group, topk_group = sizes[2], *sizes[:2]
        own, weights = route_deepseek(logits.double(), bias.double(), top_k, n_group, topk_group)
        order, own_order = chosen.long().sort(-1), own.sort(-1)
        assert torch.equal(order.values, own_order.values)
        torch.testing.assert_close(
            values.double().gather(1, order.indices),
            2.5 * weights.gather(1, own_order.indices),
            rtol=1e-5,
            atol=1e-7,
        )


def test_mamba_is_one_step_of_its_recurrence() -> None:
    [operation] = kinds("mamba_ssu")
    constants, inputs = example_inputs(operation)
    x, dt, a, d, bias = (inputs[name].double() for name in ("x", "dt", "A", "D", "dt_bias"))
    group = constants["nheads"] // constants["ngroups"]
    b, c = (inputs[name].double().repeat_interleave(group, 1) for name in "BC")
    slots = inputs["state_batch_indices"].long()
    stored = (slots >= 0)[:, None, None, None]
    step = torch.log1p(torch.exp(dt + bias))
    old = torch.where(stored, inputs["state"][slots.clamp_min(0)].double(), 0.0)
    new = torch.exp(step[..., None] * a) * old + torch.einsum("nhp,nhs->nhps", x * step, b)
    pool = inputs["state"].double()
    pool[slots[slots >= 0]] = new[slots >= 0]
    output = torch.einsum("nhps,nhs->nhp", new, c) + x * d
    assert_equal(operation, constants, inputs, (output, pool))


def test_chosen_slots_are_attended_one_token_at_a_time() -> None:
    operation = next(it for it in kinds("dsa_paged") if "attention" in it.kind)
    constants, inputs = example_inputs(operation)
    ckv, kpe = (inputs[name].double().flatten(0, 1) for name in ("ckv_cache", "kpe_cache"))
    outputs, sums = [], []
    for t, indices in enumerate(inputs["sparse_indices"]):
        keys = indices[indices >= 0].long()
        q = torch.cat([inputs["q_nope"][t], inputs["q_pe"][t]], -1).double()
        logits = q @ torch.cat([ckv[keys], kpe[keys]], -1).T * inputs["sm_scale"]
        outputs.append(torch.softmax(logits, -1) @ ckv[keys])
        sums.append(torch.logsumexp(logits, -1) / torch.log(torch.tensor(2.0, dtype=torch.float64)))
    assert_equal(operation, constants, inputs, (torch.stack(outputs), torch.stack(sums)))


def test_the_indexer_takes_the_best_of_a_dense_cache() -> None:
    operation = next(it for it in kinds("dsa_paged") if "indexer" in it.kind)
    constants, inputs = example_inputs(operation)
    pages, size, _, width = inputs["k_index_cache_fp8"].shape
    flat = inputs["k_index_cache_fp8"].view(pages, -1)
    values = flat[:, : size * (width - 4)].contiguous().view(torch.float8_e4m3fn)
    scales = flat[:, size * (width - 4) :].contiguous().view(torch.float32)
    keys = values.view(pages * size, width - 4).float() * scales.view(-1, 1)
    chosen = torch.full_like(run_reference(operation, constants, inputs)[0], -1)
    for i, length in enumerate(inputs["seq_lens"].tolist()):
        logits = inputs["q_index_fp8"][i].float() @ keys.T
        scores = (inputs["weights"][i][:, None] * logits.relu()).sum(0)
        table = inputs["block_table"][i].long()
        slots = (table[:, None] * size + torch.arange(size, device=table.device)).flatten()
        slots = slots[:length]
        best = slots[scores[slots].topk(min(constants["topk"], length)).indices]
        chosen[i, : len(best)] = best.int()
    exact = run_reference(operation, constants, inputs, torch.float64)[0]
    [judged] = operation.check(inputs, {"topk_indices": exact}, {"topk_indices": chosen})
    assert judged.passed, judged
