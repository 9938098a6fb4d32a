from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError
from records import definition_data, without

from flashinfer_bench.data import AxisVar, Definition, DType, load_json_file, save_json_file
from flashinfer_bench.data.flashinfer_dialect import normalise

SCALE_REFERENCE = """
def _double(x):
    return 2 * x

def _scale_reference(x, factor):
    return _double(x) * factor
"""


def dump(**changes: Any) -> dict[str, Any]:
    """Like a file that FlashInfer writes with FLASHINFER_TRACE_DUMP=1."""
    return {
        "name": "scale_h4",
        "description": "Twice x times factor.",
        "op_type": "scale",
        "tags": ["fi_api:flashinfer.made_up.scale", "status:verified"],
        "axes": {"batch_size": {"type": "var"}, "hidden_size": {"type": "const", "value": 4}},
        "inputs": {
            "x": {"shape": ["batch_size", "hidden_size"], "dtype": "bfloat16"},
            "factor": {"shape": None, "dtype": "float32"},
        },
        "outputs": {"y": {"shape": ["batch_size", "hidden_size"], "dtype": "bfloat16"}},
        "reference": SCALE_REFERENCE,
        "check": "def _check(expected, actual): ...\n",
        "init": "def _init(batch_size): ...\n",
        **changes,
    }


def parse(**changes: Any) -> Definition:
    return Definition.model_validate_json(json.dumps(dump(**changes)))


def run_of(definition: Definition) -> Any:
    names: dict[str, Any] = {}
    exec(definition.reference, names)
    return names["run"]


def spec(*shape: str, **more: Any) -> dict[str, Any]:
    return {"shape": list(shape), "dtype": "float32", **more}


def test_the_reference_becomes_run():
    definition = parse()
    assert definition.reference.startswith(SCALE_REFERENCE.rstrip())
    assert run_of(definition)(3, 10) == 60


def test_check_and_init_are_kept():
    data = json.loads(parse().model_dump_json(exclude_unset=True))
    assert data == {**dump(), "reference": data["reference"]}


def test_saving_and_loading_changes_nothing_more(tmp_path):
    definition = parse(outputs={"x": spec("batch_size", param="out")}, axes={"batch_size": {}})
    save_json_file(definition, tmp_path / "a.json")
    again = load_json_file(Definition, tmp_path / "a.json")
    assert again == definition
    save_json_file(again, tmp_path / "b.json")
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


@pytest.mark.parametrize("sign", ["check", "init", "reference", "fi_api"])
def test_one_sign_is_enough(sign):
    data = without(without(dump(tags=[]), "check"), "init")
    if sign == "fi_api":
        data = {**without(data, "reference"), "tags": dump()["tags"]}
    elif sign != "reference":
        data = {**without(data, "reference"), sign: dump()[sign]}
    definition = Definition.model_validate(data)
    assert "run" in definition.reference
    assert "def run" not in json.dumps(data)


def test_a_run_of_its_own_is_left_alone():
    reference = "def run(x, factor):\n    return x\n\ndef _scale_reference(x): ...\n"
    assert parse(reference=reference).reference == reference


@pytest.mark.parametrize(
    "data",
    [
        definition_data(),
        definition_data(tags=["fi_api:flashinfer.gemm"]),
        definition_data(reference="def reference(A): ...\n"),
        definition_data(reference="def _reference_of(A): ...\n"),
        without(definition_data(), "reference"),
        {"check": ""},
        {"check": "", "axes": {}, "inputs": [], "outputs": {}},
        {"check": "", "axes": {"a": 1}, "inputs": {}, "outputs": {}},
    ],
)
def test_what_is_no_dump_comes_back_as_it_is(data):
    before = json.dumps(data)
    assert normalise(data) is data
    assert json.dumps(data) == before


@pytest.mark.parametrize("changes", [{"tags": []}, {"tags": None}])
def test_no_reference_and_no_api_is_refused(changes):
    data = without(without(without(dump(**changes), "check"), "init"), "reference")
    with pytest.raises(ValidationError, match="reference"):
        Definition.model_validate(data)


def test_outputs_written_in_place_are_renamed():
    definition = parse(
        inputs={"x": spec("batch_size"), "residual": spec("batch_size")},
        outputs={"y": spec("batch_size"), "residual": spec("batch_size", param="residual")},
        reference="def _add_reference(x, residual):\n    return x + residual, x - residual\n",
    )
    assert list(definition.outputs) == ["y", "residual_out"]
    assert definition.outputs["residual_out"].model_extra == {"param": "residual"}
    assert run_of(definition)(5, 3) == (8, 2)


def test_without_a_reference_run_says_so():
    definition = parse(reference=None)
    with pytest.raises(NotImplementedError, match="scale_h4 carries no reference"):
        run_of(definition)(1, 2)
    with pytest.raises(TypeError):
        run_of(definition)(1)


def test_optional_inputs_that_are_missing_are_not_passed():
    definition = parse(
        inputs={
            "x": spec("batch_size"),
            "bias": spec("batch_size", optional=True),
            "factor": {"shape": None, "dtype": "float32", "optional": True},
        },
        reference="def _f_reference(x, factor=10, *, bias=7):\n    return x * factor + bias\n",
    )
    run = run_of(definition)
    assert run(2) == 27
    assert run(2, 1) == 21
    assert run(2, None, 3) == 13
    assert run(2, factor=3) == 13


def test_all_inputs_may_be_optional():
    definition = parse(
        inputs={"x": spec("batch_size", optional=True)},
        reference="def _f_reference(x=7):\n    return x\n",
    )
    assert run_of(definition)() == 7
    assert run_of(definition)(1) == 1


def test_an_optional_input_before_a_needed_one_takes_none():
    definition = parse(
        inputs={"bias": spec("batch_size", optional=True), "x": spec("batch_size")},
        reference="def _f_reference(x, bias=7):\n    return x + bias\n",
    )
    assert run_of(definition)(None, 1) == 8


def test_inputs_that_the_reference_does_not_take_are_dropped():
    definition = parse(reference="def _f_reference(x):\n    return x\n")
    assert run_of(definition)(1, 2) == 1
    everything = parse(reference="def _f_reference(**inputs):\n    return sorted(inputs)\n")
    assert run_of(everything)(1, 2) == ["factor", "x"]


def test_the_last_reference_is_taken():
    reference = "def _a_reference(x): return 1\n\ndef _b_reference(x): return 2\n"
    assert run_of(parse(reference=reference))(0, 0) == 2


def test_input_names_that_are_no_identifiers():
    definition = parse(inputs={"x.0": spec("batch_size")}, reference=None)
    with pytest.raises(NotImplementedError):
        run_of(definition)(1)


@pytest.mark.parametrize("axis", [{"type": "const"}, {"type": "const", "value": None}])
def test_a_constant_without_a_value_is_variable(axis):
    definition = parse(axes={**dump()["axes"], "block": {**axis, "description": "Size."}})
    assert isinstance(definition.axes["block"], AxisVar)
    assert definition.axes["block"].description == "Size."
    assert definition.var_axes == ["batch_size", "block"]


def test_axes_that_are_used_are_declared():
    definition = parse(outputs={"y": spec("batch_size", "K_div_block"), "z": spec("n")})
    assert definition.var_axes == ["batch_size", "K_div_block", "n"]


@pytest.mark.parametrize("word", ["dtype", "string", "float4", "fp8", ""])
def test_other_dtypes_are_unknown(word):
    definition = parse(inputs={"x": {"shape": ["batch_size"], "dtype": word}})
    assert definition.inputs["x"].dtype is DType.UNKNOWN
    assert definition.inputs["x"].model_extra == {"api_dtype": word}


@pytest.mark.parametrize("dtype", ["unknown", "uint8", "uint32", "float8_e4m3fn", "float4_e2m1"])
def test_known_dtypes_stay(dtype):
    definition = parse(inputs={"x": {"shape": ["batch_size"], "dtype": dtype}})
    assert definition.inputs["x"].dtype.value == dtype
    assert not definition.inputs["x"].model_extra


@pytest.mark.parametrize(
    "changes",
    [
        {"inputs": {"x": {"shape": [4], "dtype": "float32"}}},
        {"inputs": {"x": {"shape": [["batch_size"]], "dtype": "float32"}}},
        {"inputs": {"x": {"shape": "batch_size", "dtype": "float32"}}},
        {"inputs": {"x": {"dtype": "float32"}}},
        {"inputs": {"x": {"shape": ["batch_size"]}}},
        {"reference": "def _f_reference(:"},
        {"reference": 3},
        {"name": ""},
        {"axes": {"a": {"type": "const", "value": -1}}},
        {"tags": 3},
    ],
)
def test_a_broken_dump_is_refused(changes):
    with pytest.raises(ValidationError):
        parse(**changes)


def test_renamed_outputs_stay_apart():
    outputs = {"x": spec("batch_size"), "x_out": spec(), "y": spec()}
    assert list(parse(outputs=outputs).outputs) == ["x_out_out", "x_out", "y"]
