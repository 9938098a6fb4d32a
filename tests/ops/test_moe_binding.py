"""Calls of FlashInfer's mixture-of-experts layers: what is bound, and what is refused."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from flashinfer_bench.ops.binding import Call, Refused, Unbound
from flashinfer_bench.ops.emit import emit
from flashinfer_bench.ops.moe.binding import DS_ROUTING, RENORM
from flashinfer_bench.ops.registry import operations, parse_name

HIDDEN, INNER, LOCAL, ROWS = 256, 128, 8, 5


def tensor(*shape: int, dtype: str = "float32") -> Any:
    return SimpleNamespace(shape=shape, dtype=f"torch.{dtype}")


def arguments(experts: int, **changes: Any) -> dict[str, Any]:
    return {
        "hidden_states": tensor(ROWS, HIDDEN, dtype="float8_e4m3fn"),
        "hidden_states_scale": tensor(HIDDEN // 128, ROWS),
        "gemm1_weights": tensor(LOCAL, 2 * INNER, HIDDEN, dtype="float8_e4m3fn"),
        "gemm1_weights_scale": tensor(LOCAL, 2 * INNER // 128, HIDDEN // 128),
        "gemm2_weights": tensor(LOCAL, HIDDEN, INNER, dtype="float8_e4m3fn"),
        "gemm2_weights_scale": tensor(LOCAL, HIDDEN // 128, INNER // 128),
        "num_experts": experts,
        "top_k": 4,
        "intermediate_size": INNER,
        "local_num_experts": LOCAL,
        **changes,
    }


def ds_call(experts: int = 256, **changes: Any) -> Call:
    usual = {
        "routing_logits": tensor(ROWS, experts),
        "routing_bias": tensor(experts, dtype="bfloat16"),
        "n_group": 8,
        "topk_group": 4,
        "local_expert_offset": 16,
        "routed_scaling_factor": 2.5,
        "routing_method_type": 2,
        "use_shuffled_weight": False,
        "weight_layout": 0,
        "do_finalize": True,
        "fp8_quantization_type": 1,
        "activation_type": 3,
    }
    return Call(DS_ROUTING.apis[0], arguments(experts, **{**usual, **changes}))


def renorm_call(**changes: Any) -> Call:
    usual = {
        "routing_logits": tensor(ROWS, LOCAL, dtype="bfloat16"),
        "routing_bias": None,
        "n_group": None,
        "topk_group": None,
        "local_expert_offset": 0,
        "routed_scaling_factor": None,
        "routing_method_type": 1,
    }
    return Call(RENORM.apis[0], arguments(LOCAL, **{**usual, **changes}))


def test_deepseek_calls_have_their_constants() -> None:
    bound = DS_ROUTING.bind(ds_call())
    assert bound.constants == {
        "num_local_experts": LOCAL,
        "top_k": 4,
        "intermediate_size": INNER,
        "hidden_size": HIDDEN,
        "n_group": 8,
        "topk_group": 4,
    }
    assert bound.inputs["local_expert_offset"] == 16
    assert bound.inputs["routed_scaling_factor"] == 2.5
    [operation] = [it for it in operations("moe") if it.binding is DS_ROUTING]
    assert set(bound.inputs) == set(operation.interface(bound.constants).inputs)


def test_another_number_of_experts_is_in_the_name() -> None:
    bound = DS_ROUTING.bind(ds_call(64, routed_scaling_factor=None))
    assert bound.constants["num_experts"] == 64
    assert bound.inputs["routed_scaling_factor"] == 1.0
    assert bound.derived == {"routed_scaling_factor"}
    no_groups = DS_ROUTING.bind(ds_call(384, n_group=0, topk_group=None)).constants
    assert (no_groups["n_group"], no_groups["topk_group"]) == (1, 1)
    assert "num_experts" not in no_groups


@pytest.mark.parametrize("method", [1, 4])
def test_renormalised_calls_have_their_constants(method: int) -> None:
    bound = RENORM.bind(renorm_call(routing_method_type=method))
    assert bound.constants == {
        "num_local_experts": LOCAL,
        "top_k": 4,
        "intermediate_size": INNER,
        "hidden_size": HIDDEN,
    }
    assert next(iter(bound.inputs)) == "routing_logits" and not bound.derived


OTHERS: list[dict[str, Any]] = [
    {"use_shuffled_weight": True},
    {"weight_layout": 2},
    {"do_finalize": False},
    {"fp8_quantization_type": 2},
    {"num_fused_shared_experts": 1},
    {"activation_type": 4},
    {"norm_topk_prob": False},
    {"gemm1_alpha": tensor(LOCAL)},
    {"gemm1_clamp_limit": tensor(LOCAL)},
    {"routing_method_type": 0},
    {"routing_method_type": 3},
    {"hidden_states": tensor(ROWS, HIDDEN, dtype="bfloat16")},
    {"hidden_states_scale": tensor(ROWS, HIDDEN // 128)},
    {"gemm1_weights": tensor(LOCAL, INNER, HIDDEN, dtype="float8_e4m3fn")},
    {"gemm2_weights_scale": tensor(LOCAL, HIDDEN // 32, INNER // 32)},
    {"gemm2_weights": None},
]


@pytest.mark.parametrize("changes", OTHERS)
def test_other_calls_are_refused(changes: dict[str, Any]) -> None:
    for binding, call in ((DS_ROUTING, ds_call(**changes)), (RENORM, renorm_call(**changes))):
        with pytest.raises(Refused):
            binding.bind(call)


@pytest.mark.parametrize(
    "changes",
    [
        {"routing_bias": None},
        {"routing_bias": tensor(256)},
        {"routing_logits": tensor(ROWS, 256, dtype="bfloat16")},
        {"routing_method_type": 1},
        {"local_expert_offset": None},
    ],
)
def test_other_deepseek_calls_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(Refused):
        DS_ROUTING.bind(ds_call(**changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"routing_bias": tensor(LOCAL, dtype="bfloat16")},
        {"routing_logits": tensor(ROWS, LOCAL)},
        {"routed_scaling_factor": 2.0},
        {"local_expert_offset": 8},
        {"num_experts": 16, "routing_logits": tensor(ROWS, 16, dtype="bfloat16")},
        {"routing_method_type": 2},
    ],
)
def test_other_renormalised_calls_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(Refused):
        RENORM.bind(renorm_call(**changes))


def test_definitions_name_the_api_that_takes_their_weights_in_another_layout() -> None:
    for operation in operations("moe"):
        if isinstance(operation.binding, Unbound):
            tags = emit(*parse_name(operation.example.name)).tags
            assert [tag for tag in tags if tag.startswith("fi_api:flashinfer.fused_moe.trtllm")]
