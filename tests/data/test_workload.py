from __future__ import annotations

import json
import math

import pytest
from pydantic import ValidationError
from records import without, workload_data

from flashinfer_bench.data import RandomInput, SafetensorsInput, ScalarInput, Workload
from flashinfer_bench.data.base import unknown_keys

STORED = {"type": "safetensors", "path": "./blob/x.safetensors", "tensor_key": "x"}


def parse(**changes) -> Workload:
    return Workload.model_validate_json(json.dumps(workload_data(**changes)))


def parse_input(spec) -> RandomInput | ScalarInput | SafetensorsInput:
    return parse(inputs={"x": spec}).inputs["x"]


def text_of(workload: Workload) -> str:
    return workload.model_dump_json(exclude_unset=True)


def test_fields_and_defaults():
    workload = parse(inputs={"A": {"type": "random"}, "n": {"type": "scalar", "value": 2}})
    assert workload.axes == {"M": 3}
    assert workload.inputs == {"A": RandomInput(), "n": ScalarInput(value=2)}
    assert (workload.seed, workload.weight) == (None, None)
    assert (workload.inputs["A"].static, workload.inputs["A"].cache) == (False, None)


@pytest.mark.parametrize("key", ["axes", "inputs", "uuid"])
def test_required_fields(key):
    with pytest.raises(ValidationError, match=key):
        Workload.model_validate(without(workload_data(), key))


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"uuid": ""}, "uuid"),
        ({"uuid": 7}, "uuid"),
        ({"axes": {"M": -1}}, "axes.M"),
        ({"axes": {"M": 1.5}}, "axes.M"),
        ({"axes": {"M": None}}, "axes.M"),
        ({"inputs": {"x": {"type": "custom"}}}, "custom"),
        ({"inputs": {"x": {"type": None}}}, "inputs.x"),
        ({"inputs": {"x": {"type": ["random"]}}}, "inputs.x"),
        ({"inputs": {"x": None}}, "inputs.x"),
        ({"inputs": {"x": 3}}, "inputs.x"),
        ({"inputs": {"x": {"type": "scalar"}}}, "value"),
        ({"inputs": {"x": {"type": "scalar", "value": None}}}, "value"),
        ({"inputs": {"x": {"type": "scalar", "value": "three"}}}, "value"),
        ({"inputs": {"x": {"type": "scalar", "value": [1]}}}, "value"),
        ({"inputs": {"x": without(STORED, "path")}}, "path"),
        ({"inputs": {"x": without(STORED, "tensor_key")}}, "tensor_key"),
        ({"inputs": {"x": {**STORED, "path": ""}}}, "path"),
        ({"inputs": {"x": {**STORED, "tensor_key": ""}}}, "tensor_key"),
        ({"inputs": {"x": {"generator": ""}}}, "generator"),
        ({"inputs": {"x": {"cache": "hot"}}}, "cache"),
        ({"seed": -1}, "seed"),
    ],
)
def test_refused(changes, place):
    with pytest.raises(ValidationError) as caught:
        parse(**changes)
    assert place in str(caught.value)


@pytest.mark.parametrize("spec", [{}, {"type": "random"}, {"static": True}, {"shape": [1]}])
def test_random_is_what_has_no_type(spec):
    read = parse_input(spec)
    assert isinstance(read, RandomInput)
    assert json.loads(read.model_dump_json(exclude_unset=True)) == {"type": "random", **spec}


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        (3, 3),
        (0.25, 0.25),
        (3.0, 3.0),
        (True, True),
        (False, False),
        (10**30, 10**30),
        ("3", 3),
        ("0.5", 0.5),
        ("Infinity", math.inf),
        ("-Infinity", -math.inf),
    ],
)
def test_scalars(value, meant):
    scalar = parse_input({"type": "scalar", "value": value})
    assert isinstance(scalar, ScalarInput)
    assert (type(scalar.value), scalar.value) == (type(meant), meant)


@pytest.mark.parametrize(("text", "number"), [("NaN", math.nan), ("Infinity", math.inf)])
def test_numbers_that_json_lacks_come_back(text, number):
    workload = parse(inputs={"x": {"type": "scalar", "value": text}}, weight=2.0)
    written = text_of(workload)
    assert json.loads(written)["inputs"]["x"]["value"] == text
    again = Workload.model_validate_json(written).inputs["x"]
    assert isinstance(again, ScalarInput)
    assert repr(again.value) == repr(number)
    assert text_of(Workload.model_validate_json(written)) == written


def test_stored_tensors():
    read = parse_input(STORED)
    assert read == SafetensorsInput(path="./blob/x.safetensors", tensor_key="x")


@pytest.mark.parametrize("axes", [{}, {"M": 0}, {"anything": 5}, {"M": "3"}, {"M": 3.0}])
def test_axes_are_not_compared_with_a_definition(axes):
    assert parse(axes=axes).axes == {name: int(value) for name, value in axes.items()}


def test_every_key_of_ours_and_of_others_survives():
    inputs = {
        "A": {"type": "random", "generator": "normal", "static": True, "distribution": [0, 1]},
        "n": {"type": "scalar", "value": 2, "cache": "cold", "unit": "rows"},
        "x": {**STORED, "cache": "warm", "crc": 7},
    }
    data = workload_data(inputs=inputs, seed=5, weight=2.5, origin={"run": 1})
    workload = Workload.model_validate_json(json.dumps(data))
    assert json.loads(text_of(workload)) == data
    unknown = ["inputs.A.distribution", "inputs.n.unit", "inputs.x.crc", "origin"]
    assert sorted(unknown_keys(workload)) == unknown
