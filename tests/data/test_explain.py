from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError
from records import (
    definition_data,
    evaluation_data,
    model_data,
    solution_data,
    spec_data,
    trace_data,
    without,
    workload_data,
)

from flashinfer_bench.data import Definition, Model, Solution, Trace
from flashinfer_bench.data.explain import Problem, explain, line_of

PATH = Path("folder/file.json")


def problem_in(cls: type[BaseModel], text: str | bytes, line: int | None = None) -> Problem:
    content = text if isinstance(text, bytes) else text.encode()
    with pytest.raises(ValidationError) as caught:
        cls.model_validate_json(content)
    return explain(caught.value, PATH, content, line)


def in_lines(data: dict) -> str:
    return json.dumps(data, indent=2)


TEXT = """{
  "a": 1,
  "list": [
    10,
    {"deep": {
      "er": "}]\\" {"
    }},
    [1, 2,
     3]
  ],
  "é\\n": null,
  "last": "x"
}"""


@pytest.mark.parametrize(
    ("place", "line"),
    [
        ((), 1),
        (("a",), 2),
        (("list",), 3),
        (("list", 0), 4),
        (("list", 1), 5),
        (("list", 1, "deep", "er"), 6),
        (("list", 2), 8),
        (("list", 2, 2), 9),
        (("é\n",), 11),
        (("last",), 12),
        (("missing",), 1),
        (("list", 7), 3),
        (("list", 1, "deep", "missing", "more"), 5),
        (("a", "below", "a", "number"), 2),
    ],
)
def test_line_of(place, line):
    assert line_of(TEXT, place) == line
    assert line_of(f"\n\n{TEXT}", place) == line + 2


@pytest.mark.parametrize("text", ["", " ", "[", "{", '{"a"', '{"a":', '{"a": [1, ', '{"a": {]'])
def test_line_of_broken_text(text):
    assert line_of(text, ("a", 0, "b")) == 1


@pytest.mark.parametrize(
    ("cls", "data", "line", "message"),
    [
        (
            Definition,
            without(definition_data(), "op_type"),
            1,
            "op_type: missing; the key is required",
        ),
        (
            Definition,
            definition_data(axes={"M": {}, "N": {"value": -2}, "K": {}}),
            7,
            "axes.N.value: input should be greater than or equal to 0, got -2",
        ),
        (
            Definition,
            definition_data(axes={"M": {"type": "expr"}}),
            5,
            "axes.M: unknown type 'expr'; expected 'const', 'var'",
        ),
        (
            Definition,
            definition_data(inputs={"A": {"shape": ["M", "Q"], "dtype": "int8"}}),
            17,
            "inputs: A: axis 'Q' is not in axes (M, N, K)",
        ),
        (
            Solution,
            solution_data(spec=spec_data(entry_point="main.py")),
            10,
            "spec.entry_point: 'main.py' is not of the form file::function",
        ),
        (
            Solution,
            solution_data(sources=[{"path": "main.py", "content": ""}]),
            15,
            "sources.0.content: string should have at least 1 character, got ''",
        ),
        (
            Solution,
            solution_data(sources=[{"path": "b.py", "content": "x"}]),
            1,
            "entry point 'main.py::run' is not among sources: b.py",
        ),
        (
            Model,
            model_data(modules={"a": {"count": 1, "type": "leaf"}}),
            7,
            "modules.a.type: input should be 'block' or 'layer', got 'leaf'",
        ),
        (
            Trace,
            trace_data(workload=workload_data(inputs={"x": {"type": "custom"}})),
            8,
            "workload.inputs.x: unknown type 'custom'; expected 'random', 'scalar', 'safetensors'",
        ),
        (
            Trace,
            trace_data(workload=workload_data(inputs={"x": {"type": "safetensors", "path": "p"}})),
            8,
            "workload.inputs.x.tensor_key: missing; the key is required",
        ),
        (
            Trace,
            trace_data(evaluation=without(evaluation_data("PASSED"), "performance")),
            19,
            "evaluation: performance is missing, but status PASSED needs it",
        ),
    ],
)
def test_place_and_sentence(cls, data, line, message):
    problem = problem_in(cls, in_lines(data))
    assert str(problem) == f"folder/file.json:{line}: {message}"
    assert not problem.harmless


def test_further_faults_are_counted():
    data = definition_data(name="", op_type="", reference="")
    assert problem_in(Definition, in_lines(data)).message.endswith(", got '' (and 2 more)")


def test_a_union_is_one_fault():
    scalar = {"type": "scalar", "value": "three"}
    problem = problem_in(Trace, in_lines(trace_data(workload=workload_data(inputs={"x": scalar}))))
    assert problem.line == 10
    assert problem.message.startswith("workload.inputs.x.value: input should be a valid ")
    assert problem.message.endswith(", got 'three'")


@pytest.mark.parametrize("name", ["const", "var"])
def test_names_that_look_like_union_members_stay(name):
    axes = {name: {"type": "const", "value": -1}}
    problem = problem_in(Definition, in_lines(definition_data(axes=axes)))
    assert problem.message.startswith(f"axes.{name}.value: ")


def test_the_line_of_a_record_is_kept():
    problem = problem_in(Trace, json.dumps(without(trace_data(), "definition")), line=7)
    assert str(problem) == "folder/file.json:7: definition: missing; the key is required"


def test_long_values_are_cut():
    data = trace_data(evaluation=evaluation_data(environment={"hardware": ["x" * 500]}))
    problem = problem_in(Trace, in_lines(data))
    assert len(problem.message) < 160
    assert problem.message.endswith("xxx…")


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("", 1, "not JSON: EOF while parsing a value at column 0"),
        ("{", 1, "not JSON: EOF while parsing an object at column 1"),
        ('{\n  "a": 1,\n}', 3, "not JSON: trailing comma at column 1"),
        ("{'a': 1}", 1, "not JSON: key must be a string at column 2"),
        (b'{"a": "\xff"}', 1, "not JSON: invalid unicode code point at column "),
    ],
)
def test_what_is_no_json(text, line, message):
    problem = problem_in(Trace, text)
    assert problem.line == line
    assert problem.message.startswith(message)
    assert problem_in(Trace, text, line=40).line == 40


def test_a_list_is_no_record():
    assert problem_in(Trace, "[]").message.startswith("input should be an object, got []")


def test_a_problem_without_a_line():
    assert str(Problem(PATH, None, "cannot be read")) == "folder/file.json: cannot be read"
