"""The sample dataset is what its script makes, valid throughout, and has every kind of thing."""

from __future__ import annotations

import ast
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flashinfer_bench.data import (
    Blame,
    Definition,
    EvaluationStatus,
    SafetensorsInput,
    ScalarInput,
    Solution,
    SupportedBindings,
    SupportedLanguages,
    Trace,
    TraceSet,
    load_jsonl_file,
    violations,
)

torch = pytest.importorskip("torch", reason="references run in torch")

HERE = Path(__file__).parent
SAMPLE = HERE / "sample_dataset"
RMSNORM, FUSED = "rmsnorm_h128", "fused_add_rmsnorm_h512"
GEMM, SAMPLING = "gemm_n256_k128", "top_k_sampling_from_probs_v64"
GQA = "gqa_paged_decode_h4_kv2_d16_ps1"
DATASET = TraceSet.from_path(SAMPLE)
SOLUTIONS = [solution for group in DATASET.solutions.values() for solution in group]
WORKLOADS = [
    trace
    for path in sorted((SAMPLE / "workloads").rglob("*.jsonl"))
    for trace in load_jsonl_file(Trace, path)
]


def content(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_the_script_makes_the_committed_files(tmp_path):
    (tmp_path / "dataset" / "old").mkdir(parents=True)
    command = [sys.executable, str(HERE / "make_sample_dataset.py"), str(tmp_path / "dataset")]
    subprocess.run(command, check=True, cwd=tmp_path, timeout=120)
    made, committed = content(tmp_path / "dataset"), content(SAMPLE)
    assert sorted(made) == sorted(committed)
    assert [name for name in made if made[name] != committed[name]] == []
    assert sum(map(len, committed.values())) < 150_000


def run_of(source: str) -> Callable[..., Any]:
    names: dict[str, Any] = {}
    exec(compile(source, "<source>", "exec"), names)
    return names["run"]


def inputs_of(definition: Definition, trace: Trace) -> list[Any]:
    """Real tensors for a workload."""
    torch.manual_seed(trace.workload.seed or 0)
    values: list[Any] = []
    shapes = definition.get_input_shapes(trace.workload.axes)
    for (name, spec), shape in zip(definition.inputs.items(), shapes):
        source = trace.workload.inputs[name]
        if isinstance(source, ScalarInput):
            values.append(source.value)
        elif isinstance(source, SafetensorsInput):
            values.append(DATASET.get_workload_blob_tensor(source.path)[source.tensor_key])
        elif name == "probs":
            values.append(torch.randn(shape).softmax(dim=-1))
        else:
            values.append(torch.randn(shape).to(getattr(torch, spec.dtype.torch_name)))
    return values


def outputs_of(returned: Any) -> list[Any]:
    return list(returned) if isinstance(returned, tuple) else [returned]


@pytest.mark.parametrize("trace", WORKLOADS, ids=lambda trace: trace.definition)
def test_every_workload_is_a_valid_call(trace):
    definition = DATASET.definitions[trace.definition]
    assert set(trace.workload.axes) == set(definition.var_axes)
    assert set(trace.workload.inputs) == set(definition.inputs)
    inputs = inputs_of(definition, trace)
    assert definition.get_axes_values_from_inputs(inputs) == trace.workload.axes
    outputs = outputs_of(run_of(definition.reference)(*inputs))
    assert violations(definition, inputs, outputs) == []


def first_call(name: str, number: int = 1) -> tuple[Definition, list[Any]]:
    definition = DATASET.definitions[name]
    return definition, inputs_of(definition, DATASET.workloads[name][number])


@pytest.mark.parametrize("name", [RMSNORM, FUSED])
def test_norms_by_hand(name):
    definition, inputs = first_call(name)
    output = run_of(definition.reference)(*inputs)
    row = inputs[0][3].double() + (inputs[1][3].double() if name == FUSED else 0)
    mean_square = sum(value.item() ** 2 for value in row) / len(row)
    expected = row / math.sqrt(mean_square + 1e-6) * inputs[-1].double()
    torch.testing.assert_close(output[3].double(), expected, rtol=1e-2, atol=1e-2)


def test_gemm_by_hand():
    definition, (a, b) = first_call(GEMM)
    output = run_of(definition.reference)(a, b)
    expected = sum(a[5, k].double() * b[7, k].double() for k in range(128))
    torch.testing.assert_close(output[5, 7].double(), expected, rtol=1e-2, atol=1e-2)


def test_attention_by_hand():
    definition, (q, k, v, indptr, indices, scale) = first_call(GQA)
    output, lse = run_of(definition.reference)(q, k, v, indptr, indices, scale)
    assert indptr.tolist() == [0, 4, 4, 9]
    for request, head in [(0, 0), (0, 3), (2, 1), (2, 2)]:
        pages = indices[indptr[request] : indptr[request + 1]].tolist()
        keys = torch.stack([k[page, 0, head // 2] for page in pages]).double()
        values = torch.stack([v[page, 0, head // 2] for page in pages]).double()
        logits = keys @ q[request, head].double() * scale
        expected = torch.softmax(logits, dim=0) @ values
        close = {"rtol": 1e-2, "atol": 1e-2}
        torch.testing.assert_close(output[request, head].double(), expected, **close)
        total = math.log2(sum(math.exp(x) for x in logits))
        assert lse[request, head].item() == pytest.approx(total, rel=1e-4)
    assert not output[1].any()
    assert (lse[1] == -math.inf).all()


def test_sampling_by_hand():
    definition, (probs, top_k) = first_call(SAMPLING)
    run = run_of(definition.reference)
    drawn = torch.stack([run(probs, top_k) for _ in range(200)])
    for request, k in enumerate(top_k.tolist()):
        allowed = set(probs[request].topk(k).indices.tolist())
        assert set(drawn[:, request].tolist()) <= allowed
    assert len(set(drawn[:, 0].tolist())) > 10


PYTHON = [
    solution
    for solution in SOLUTIONS
    if solution.spec.language is SupportedLanguages.PYTHON and solution.definition != SAMPLING
]


def results_of(solution: Solution) -> tuple[list[Any], list[Any]]:
    """What a Python solution computes, and what the reference does."""
    definition, inputs = first_call(solution.definition)
    expected = outputs_of(run_of(definition.reference)(*inputs))
    run = run_of(solution.get_entry_source().content)
    if solution.spec.destination_passing_style:
        found = [torch.full_like(output, math.nan) for output in expected]
        assert run(*inputs, *found) is None
    else:
        found = outputs_of(run(*inputs))
    return found, expected


@pytest.mark.parametrize("solution", PYTHON, ids=lambda solution: solution.name)
def test_python_solutions_compute_what_they_say(solution):
    found, expected = results_of(solution)
    assert [output.dtype for output in found] == [output.dtype for output in expected]
    close = all(
        torch.allclose(one.float(), other.float(), rtol=2e-2, atol=2e-2)
        for one, other in zip(found, expected)
    )
    assert close is (not solution.name.startswith("hasty"))


def test_the_sampling_solution_samples_the_distribution():
    [solution] = DATASET.solutions[SAMPLING]
    probs = torch.tensor([[0.5, 0.3, 0.15, 0.05]]).repeat(20_000, 1)
    top_k = torch.full((20_000,), 3)
    torch.manual_seed(0)
    drawn = run_of(solution.get_entry_source().content)(probs, top_k)
    shares = torch.bincount(drawn, minlength=4) / len(drawn)
    expected = torch.tensor([0.5, 0.3, 0.15, 0.0]) / 0.95
    torch.testing.assert_close(shares, expected, atol=0.02, rtol=0)


@pytest.mark.parametrize("solution", SOLUTIONS, ids=lambda solution: solution.name)
def test_entry_points_are_there(solution):
    source, symbol = solution.get_entry_source().content, solution.get_entry_symbol()
    if solution.spec.language in (SupportedLanguages.PYTHON, SupportedLanguages.TRITON):
        functions = [node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)]
        [run] = [function for function in functions if function.name == symbol]
        definition = DATASET.definitions[solution.definition]
        expected = list(definition.inputs)
        if solution.spec.destination_passing_style:
            expected += definition.outputs
        assert [argument.arg for argument in run.args.args] == expected
    else:
        with_ffi = solution.spec.binding is SupportedBindings.TVM_FFI
        export = "TVM_FFI_DLL_EXPORT_TYPED_FUNC(" if with_ffi else 'module.def("'
        assert f"{export}{symbol}" in source


def test_digests_are_those_of_the_solutions():
    traces = [trace for group in DATASET.traces.values() for trace in group]
    for trace in traces:
        solution = DATASET.get_solution(trace.solution or "")
        assert solution is not None
        assert trace.solution_digest in (None, solution.digest())
        assert trace.definition == solution.definition
        known = [entry.workload for entry in DATASET.workloads[trace.definition]]
        assert trace.workload in known
    old = [trace for trace in traces if trace.solution_digest is None]
    assert len(old) == 5


def test_every_kind_of_thing_is_there():
    traces = [trace for group in DATASET.traces.values() for trace in group]
    evaluations = [trace.evaluation for trace in traces if trace.evaluation]
    inputs = [entry for trace in WORKLOADS for entry in trace.workload.inputs.values()]
    languages = {solution.spec.language for solution in SOLUTIONS}
    assert len({definition.op_type for definition in DATASET.definitions.values()}) == 4
    assert languages == set(SupportedLanguages) - {SupportedLanguages.TILELANG}
    assert {solution.spec.binding for solution in SOLUTIONS} == {None, *SupportedBindings}
    assert {solution.spec.destination_passing_style for solution in SOLUTIONS} == {True, False}
    assert {evaluation.status for evaluation in evaluations} == set(EvaluationStatus)
    assert {Blame.SOLUTION, Blame.MACHINE} <= {evaluation.blame for evaluation in evaluations}
    assert len({evaluation.environment.hardware for evaluation in evaluations}) == 2
    assert {entry.type for entry in inputs} == {"random", "scalar", "safetensors"}
    assert {entry.cache for entry in inputs} == {None, "cold", "warm"}
    assert any(entry.static for entry in inputs)
    assert any(evaluation.measurement for evaluation in evaluations)
    assert any(trace.workload.weight for trace in WORKLOADS)
    keys = DATASET.models["sample-llm"].modules
    assert {"mlp_dense.down_proj", "mlp_moe.down_proj"} <= keys.keys()
    assert set(DATASET.models["sample-llm"].definitions()) == set(DATASET.definitions)


def test_the_readme_says_what_is_made_up():
    assert "**Nothing here was measured.**" in (SAMPLE / "README.md").read_text()
