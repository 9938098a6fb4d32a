from __future__ import annotations

import json

import pytest
from pydantic import ValidationError
from records import definition_data, without

from flashinfer_bench.data import AxisConst, AxisVar, Definition, DType, TensorSpec
from flashinfer_bench.data.base import unknown_keys
from flashinfer_bench.data.definition import NEW_DTYPES

PUBLIC_DTYPES = ["float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2", "float4_e2m1"]
PUBLIC_DTYPES += ["int64", "int32", "int16", "int8", "bool"]


def parse(**changes) -> Definition:
    return Definition.model_validate_json(json.dumps(definition_data(**changes)))


def tensors(**shapes) -> dict:
    return {name: {"shape": shape, "dtype": "float32"} for name, shape in shapes.items()}


def test_fields_and_defaults():
    definition = parse()
    assert definition.axes == {"M": AxisVar(), "N": AxisConst(value=8), "K": AxisConst(value=4)}
    assert definition.inputs["A"] == TensorSpec(shape=["M", "K"], dtype=DType.FLOAT16)
    assert (definition.tags, definition.description, definition.constraints) == ([], None, [])


REQUIRED = ("name", "op_type", "axes", "inputs", "outputs", "reference")


@pytest.mark.parametrize("key", REQUIRED)
def test_required_fields(key):
    with pytest.raises(ValidationError, match=key):
        Definition.model_validate(without(definition_data(), key))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": ""}, "name"),
        ({"op_type": ""}, "op_type"),
        ({"reference": ""}, "reference"),
        ({"tags": ["status:verified", ""]}, "tags"),
        ({"constraints": [""]}, "constraints"),
        ({"reference": "def run(:"}, "not Python: line 1"),
        ({"reference": "a = 1\nb = = 2\n"}, "not Python: line 2"),
        ({"reference": "def run():\n    '\0'\n"}, "not Python"),
        ({"reference": "def execute(): ...\n"}, "no top-level function 'run'"),
        ({"reference": "async def run(): ...\n"}, "no top-level function 'run'"),
        ({"reference": "run = print\n"}, "no top-level function 'run'"),
        ({"reference": "def f():\n    def run(): ...\n"}, "no top-level function 'run'"),
        ({"reference": "class Op:\n    def run(self): ...\n"}, "no top-level function 'run'"),
        ({"constraints": ["M =="]}, "'M ==' is not a Python expression"),
        ({"constraints": ["M = 4"]}, "not a Python expression"),
        ({"constraints": ["assert M"]}, "not a Python expression"),
        ({"constraints": ["(" * 5000]}, "not a Python expression"),
        ({"inputs": tensors(A=["M"], C=["N"])}, "C: both an input and an output"),
        ({"inputs": tensors(A=["M", "Q"])}, "A: axis 'Q' is not in axes"),
        ({"outputs": tensors(C=["Q"])}, "C: axis 'Q' is not in axes"),
        ({"axes": {"M": {"type": "const", "value": -1}}}, "axes.M"),
        ({"axes": {"M": {"type": "const"}}}, "axes.M"),
        ({"axes": {"M": {"type": "const", "value": 1.5}}}, "axes.M"),
        ({"axes": {"M": {"type": "const", "value": None}}}, "axes.M"),
        ({"axes": {"M": {"type": "expr", "value": "2 * N"}}}, "expr"),
        ({"axes": {"M": {"type": None}}}, "axes.M"),
        ({"axes": {"": {"type": "var"}}}, "axes"),
        ({"axes": ["M"]}, "axes"),
        ({"inputs": {"A": {"dtype": "float32"}}}, "shape"),
        ({"inputs": {"A": {"shape": ["M"]}}}, "dtype"),
        ({"inputs": {"A": {"shape": "M", "dtype": "float32"}}}, "shape"),
        ({"inputs": {"A": {"shape": [4], "dtype": "float32"}}}, "shape"),
        ({"inputs": {"A": {"shape": ["M"], "dtype": "half"}}}, "dtype"),
        ({"inputs": {"A": {"shape": ["M"], "dtype": None}}}, "dtype"),
    ],
)
def test_refused(changes, message):
    with pytest.raises(ValidationError) as caught:
        parse(**changes)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "../../etc/x"},
        {"axes": {**definition_data()["axes"], "unused": {"type": "var"}}},
        {"axes": {**definition_data()["axes"], "empty": {"type": "const", "value": 0}}},
        {"reference": "def run(*anything): ...\n"},
        {"reference": "import torch\n\n@torch.no_grad()\ndef run(): ...\n"},
        {"constraints": ["nobody.knows(this) == 1", "lambda: 3"]},
        {"outputs": {}},
        {"inputs": {**definition_data()["inputs"], "zero_d": {"shape": [], "dtype": "int32"}}},
        {"description": None},
    ],
)
def test_accepted(changes):
    assert parse(**changes)


@pytest.mark.parametrize(
    ("axis", "meant"),
    [
        ({}, AxisVar()),
        ({"value": 5}, AxisConst(value=5)),
        ({"description": "rows"}, AxisVar(description="rows")),
        ({"type": "const", "value": "5"}, AxisConst(value=5)),
        ({"type": "const", "value": 5.0}, AxisConst(value=5)),
    ],
)
def test_axis_oddities(axis, meant):
    read = parse(axes={**definition_data()["axes"], "X": axis}).axes["X"]
    assert (type(read), read) == (type(meant), meant)
    assert json.loads(read.model_dump_json(exclude_unset=True))["type"] == meant.type


@pytest.mark.parametrize("dtype", [*PUBLIC_DTYPES, *sorted(NEW_DTYPES)])
def test_dtypes(dtype):
    spec = TensorSpec(shape=[], dtype=dtype)
    assert spec.dtype.value == str(spec.dtype) == dtype
    assert json.loads(spec.model_dump_json())["dtype"] == dtype


def test_new_dtypes_are_those_that_the_public_tool_lacks():
    assert {dtype.value for dtype in DType} - set(PUBLIC_DTYPES) == NEW_DTYPES


def test_order_is_kept():
    definition = parse(inputs=tensors(z=["M"], a=["N"], m=[]), outputs=tensors(y=[], b=[]))
    assert list(definition.inputs) == ["z", "a", "m"]
    assert list(definition.outputs) == ["y", "b"]
    again = Definition.model_validate_json(definition.model_dump_json())
    assert list(again.inputs) == ["z", "a", "m"]


def test_unknown_keys_survive_at_every_level():
    data = definition_data(source={"commit": 1}, inputs=tensors(A=["M"], B=["N"]))
    data["axes"]["M"]["typical"] = [1, 2]
    data["inputs"]["A"]["layout"] = "row"
    data["inputs"]["A"]["optional"] = True
    data["outputs"]["C"]["param"] = "out"
    definition = Definition.model_validate_json(json.dumps(data))
    assert json.loads(definition.model_dump_json(exclude_unset=True)) == data
    assert definition.inputs["A"].optional
    expected = ["axes.M.typical", "inputs.A.layout", "outputs.C.param", "source"]
    assert sorted(unknown_keys(definition)) == expected


def test_axes_by_kind():
    definition = parse()
    assert definition.const_axes == {"N": 8, "K": 4}
    assert definition.var_axes == ["M"]
    assert definition.var_axes_bindings == {"M": ("A", 0)}
    assert definition.const_axes is definition.const_axes


def test_a_variable_axis_is_bound_by_the_first_input_that_has_it():
    definition = parse(
        axes={"M": {}, "T": {}, "open": {}}, inputs=tensors(A=["T", "M"], B=["M"]), outputs={}
    )
    assert definition.var_axes_bindings == {"T": ("A", 0), "M": ("A", 1)}


def test_torch_dtypes():
    torch = pytest.importorskip("torch")
    definition = parse()
    assert definition.torch_input_dtypes == [torch.float16, torch.float16, torch.float32]
    assert definition.torch_output_dtypes == [torch.float16]
    packed = parse(outputs={"C": {"shape": ["M"], "dtype": "float4_e2m1"}})
    assert packed.torch_output_dtypes == [torch.float4_e2m1fn_x2]
    unknown = parse(outputs={"C": {"shape": ["M"], "dtype": "unknown"}})
    with pytest.raises(ValueError, match="no dtype for 'unknown'"):
        _ = unknown.torch_output_dtypes


def test_axes_values():
    definition = parse()
    assert definition.get_axes_values([(3, 4), (8, 4), None]) == {"M": 3}
    assert definition.get_axes_values({"A": [5, 4], "B": [8, 4], "scale": None}) == {"M": 5}


def test_axes_values_from_inputs():
    torch = pytest.importorskip("torch")
    inputs = [torch.empty(3, 4), torch.empty(8, 4), 1.0]
    assert parse().get_axes_values_from_inputs(inputs) == {"M": 3}
    with pytest.raises(ValueError, match="input 'B': rank 2 expected, got a scalar"):
        parse().get_axes_values_from_inputs([torch.empty(3, 4), 1.0, 1.0])


TWO = tensors(A=["M", "K"], B=["M"])


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ([(3,), (3,)], "input 'A': rank 2 expected, got 1"),
        ([(3, 4), None], "input 'B': rank 1 expected, got a scalar"),
        ([(3, 4), (5,)], "axis 'M': 3 so far, but 5 in input 'B'"),
        ([], "variable axes: M"),
    ],
)
def test_axes_values_that_do_not_fit(shapes, message):
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        parse(inputs=TWO).get_axes_values(shapes)


def test_an_optional_input_may_be_left_out():
    inputs = tensors(A=["M", "K"], bias=["M"])
    inputs["bias"]["optional"] = True
    assert parse(inputs=inputs).get_axes_values([(3, 4), None]) == {"M": 3}


def test_an_axis_that_no_input_gives():
    definition = parse(inputs=tensors(A=["K"]))
    with pytest.raises(ValueError, match="variable axes: M"):
        definition.get_axes_values([(4,)])


def test_shapes():
    definition = parse()
    assert definition.get_input_shapes({"M": 3}) == [[3, 4], [8, 4], None]
    assert definition.get_output_shapes({"M": 3}) == [[3, 8]]
    constant = parse(inputs=tensors(B=["N", "K"], zero_d=[]))
    assert constant.get_input_shapes() == [[8, 4], []]


@pytest.mark.parametrize("method", ["get_input_shapes", "get_output_shapes"])
@pytest.mark.parametrize("values", [None, {}, {"N": 8}])
def test_shapes_need_the_variable_axes(method, values):
    with pytest.raises(ValueError, match="variable axes: M"):
        getattr(parse(), method)(values)


def test_constants_are_not_overridden():
    assert parse().get_output_shapes({"M": 3, "N": 99}) == [[3, 8]]


@pytest.mark.parametrize(
    ("args", "kwargs", "merged"),
    [
        ((1, 2, 3), {}, (1, 2, 3)),
        ((), {"scale": 3, "A": 1, "B": 2}, (1, 2, 3)),
        ((1,), {"B": 2, "scale": 3, "C": 4}, (1, 2, 3, 4)),
        ((1,), {"scale": 3}, (1,)),
        ((1, 2), {"scale": 3, "other": 9}, (1, 2, 3)),
        ((), {"B": 2}, ()),
        ((1, 2, 3, 4), {}, (1, 2, 3, 4)),
        ((), {"A": None, "B": 2}, (None, 2)),
    ],
)
def test_merge_kwargs(args, kwargs, merged):
    assert parse().merge_kwargs_to_args(args, kwargs) == merged


@pytest.mark.parametrize(
    ("args", "kwargs", "message"),
    [
        ((1, 2, 3, 4, 5), {}, "at most 4 arguments, got 5"),
        ((1, 2), {"A": 1}, "two values for A"),
        ((1, 2, 3, 4), {"C": 1}, "two values for C"),
    ],
)
def test_merge_kwargs_refuses(args, kwargs, message):
    with pytest.raises(TypeError, match=message):
        parse().merge_kwargs_to_args(args, kwargs)
