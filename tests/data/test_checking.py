"""Real tensors against a Definition."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from flashinfer_bench.data import Definition, violations

torch = pytest.importorskip("torch", reason="compares real torch tensors")

DEFINITION = Definition.model_validate(
    {
        "name": "gqa_paged_decode_h4_kv2_d16_ps1",
        "op_type": "gqa_paged",
        "axes": {
            "batch_size": {"type": "var"},
            "len_indptr": {"type": "var"},
            "num_kv_indices": {"type": "var"},
            "head_dim": {"type": "const", "value": 16},
        },
        "inputs": {
            "q": {"shape": ["batch_size", "head_dim"], "dtype": "bfloat16"},
            "kv_indptr": {"shape": ["len_indptr"], "dtype": "int32"},
            "kv_indices": {"shape": ["num_kv_indices"], "dtype": "int32"},
            "sm_scale": {"shape": None, "dtype": "float32"},
            "mask": {"shape": ["batch_size"], "dtype": "bool", "optional": True},
        },
        "outputs": {"output": {"shape": ["batch_size", "head_dim"], "dtype": "bfloat16"}},
        "constraints": [
            "len_indptr == batch_size + 1",
            "num_kv_indices == kv_indptr[-1].item()",
        ],
        "reference": "def run(q, kv_indptr, kv_indices, sm_scale, mask=None): return q",
    }
)


def call(**changes: Any) -> dict[str, Any]:
    """The inputs of a valid call, some of them changed."""
    inputs = {
        "q": torch.zeros(2, 16, dtype=torch.bfloat16),
        "kv_indptr": torch.tensor([0, 3, 5], dtype=torch.int32),
        "kv_indices": torch.arange(5, dtype=torch.int32),
        "sm_scale": 0.25,
    }
    return {**inputs, **changes}


def test_a_valid_call_has_no_violation() -> None:
    output = torch.zeros(2, 16, dtype=torch.bfloat16)
    assert violations(DEFINITION, call()) == []
    assert violations(DEFINITION, list(call().values()), [output]) == []
    assert violations(DEFINITION, call(mask=torch.ones(2, dtype=torch.bool))) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"q": torch.zeros(2, 8, dtype=torch.bfloat16)}, "q: axis head_dim is 16"),
        ({"q": torch.zeros(2, 16, dtype=torch.float16)}, "q: dtype bfloat16 expected, got float16"),
        ({"q": torch.zeros(2, 1, 16, dtype=torch.bfloat16)}, "q: rank 2"),
        ({"q": 3}, "q: a tensor with axes"),
        ({"q": None}, "q: missing"),
        ({"mask": torch.ones(3, dtype=torch.bool)}, "mask: axis batch_size is 2"),
        ({"sm_scale": torch.tensor(0.25)}, "sm_scale: a Python number"),
        ({"sm_scale": True}, "sm_scale: a Python number"),
        (
            {"kv_indptr": torch.tensor([0, 5], dtype=torch.int32)},
            "len_indptr == batch_size + 1: 2 == 3",
        ),
        (
            {"kv_indptr": torch.tensor([0, 3, 6], dtype=torch.int32)},
            "num_kv_indices == kv_indptr[-1].item(): 5 == 6",
        ),
    ],
)
def test_each_fault_is_named(changes: dict[str, Any], words: str) -> None:
    found = violations(DEFINITION, call(**changes))
    assert len(found) == 1
    assert words in found[0]


def test_outputs_are_compared_too() -> None:
    short = torch.zeros(1, 16, dtype=torch.bfloat16)
    assert violations(DEFINITION, call(), [short]) == [
        "output: axis batch_size is 2, but dimension 0 has length 1"
    ]


def test_too_many_values() -> None:
    with pytest.raises(ValueError, match="6 values for 5 tensors"):
        violations(DEFINITION, [*call().values(), None, None])


def test_tensors_of_other_libraries() -> None:
    numpy_like = SimpleNamespace(shape=(2, 16), dtype="bfloat16")
    assert violations(DEFINITION, call(q=numpy_like)) == []


@pytest.mark.parametrize("length", [8, 16])
def test_float4_may_be_packed(length: int) -> None:
    packed = DEFINITION.model_copy(deep=True)
    packed.inputs["q"].dtype = type(packed.inputs["q"].dtype)("float4_e2m1")
    q = SimpleNamespace(shape=(2, length), dtype="torch.float4_e2m1fn_x2")
    assert violations(packed, call(q=q)) == []


def test_whole_numbers() -> None:
    counted = DEFINITION.model_copy(deep=True)
    counted.inputs["sm_scale"].dtype = type(counted.inputs["q"].dtype)("int32")
    assert violations(counted, call(sm_scale=3)) == []
    assert len(violations(counted, call(sm_scale=3.0))) == 1


def test_a_constraint_outside_the_language_is_named() -> None:
    strange = DEFINITION.model_copy(update={"constraints": ["exit()"]})
    (message,) = violations(strange, call())
    assert message.startswith("constraint 'exit()' cannot be evaluated")
