"""Writes the sample dataset: python tests/data/make_sample_dataset.py [FOLDER]

FOLDER is removed first; by default it is tests/data/sample_dataset. The same files come out every
time. Source code of references and solutions lies in tests/data/sample_sources.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import sample_traces
import torch
from sample_definitions import FUSED, GEMM, GQA, RMSNORM, SAMPLING, definitions

from flashinfer_bench.data import (
    BuildSpec,
    InputSpec,
    Model,
    RandomInput,
    SafetensorsInput,
    ScalarInput,
    Solution,
    SourceFile,
    SupportedBindings,
    SupportedLanguages,
    Trace,
    TraceSet,
    Workload,
    layout,
    save_json_file,
    save_jsonl_file,
)

HERE = Path(__file__).parent
README = """# Sample dataset
A dataset with every kind of file, for tests and for the examples in `docs/`.

**Nothing here was measured.** Latencies, errors, clocks, hardware and library versions are made
up; model and authors do not exist. Code and inputs are real: references and solutions compute
what they say, except those described as wrong on purpose.

Written by `python tests/data/make_sample_dataset.py`; change that script, not these files.
"""

SOLUTIONS = {
    "baseline": [
        ("torch", RMSNORM, "python", "return", "PyTorch's own operation."),
        ("torch", FUSED, "python", "write", "PyTorch's own operation after an addition."),
        ("torch", GEMM, "python", "write", "PyTorch's own operation."),
        ("torch", GQA, "python", "return", "A loop over the requests."),
    ],
    "sample-agent": [
        ("triton", RMSNORM, "triton", "write", "One warp per row."),
        ("cuda", GEMM, "cuda", "write", "Shared-memory tiles of 16x16."),
        ("memoised", GEMM, "python", "return", "Wrong on purpose: remembers results by address."),
        ("hasty", FUSED, "python", "return", "Wrong on purpose: leaves the residual out."),
        ("gumbel", SAMPLING, "python", "return", "Gumbel-max trick."),
    ],
    "sample-human": [
        ("cpp", RMSNORM, "cpp", "return", "Rows in parallel on the CPU."),
        ("triton", FUSED, "triton", "return", "One row per program."),
        ("padded", GQA, "python", "write", "All requests as one padded batch."),
    ],
}
"""Author -> (prefix of the name, definition, language, what happens to outputs, description)."""
ENTRY_POINTS = {"cuda": "main.cu::gemm", "cpp": "rmsnorm.cpp::run"}
BINDINGS = {"cuda": SupportedBindings.TVM_FFI, "cpp": SupportedBindings.TORCH}
TARGETS = {"cpp": "AMD EPYC (CPU)"}


def solutions() -> list[Solution]:
    return [solution(author, *entry) for author, group in SOLUTIONS.items() for entry in group]


def solution(
    author: str, prefix: str, of: str, language: str, outputs: str, description: str
) -> Solution:
    name = f"{prefix}_{of}"
    spec: dict[str, Any] = {
        "language": SupportedLanguages(language),
        "target_hardware": [TARGETS.get(language, "NVIDIA H200")],
        "entry_point": ENTRY_POINTS.get(language, "main.py::run"),
        "destination_passing_style": outputs == "write",
    }
    if language in BINDINGS:
        spec["binding"] = BINDINGS[language]
    if language == "triton":
        spec["dependencies"] = ["triton"]
    files = sorted((HERE / "sample_sources" / "solutions" / name).glob("*.*"))
    return Solution(
        name=name,
        definition=of,
        author=author,
        description=description,
        spec=BuildSpec(**spec),
        sources=[SourceFile(path=file.name, content=file.read_text()) for file in files],
    )


def workloads(dataset: TraceSet) -> list[Trace]:
    """All workloads; tensors that are not random are written to the dataset."""
    scattered = [(7 * i + 3) % 64 for i in range(40)]
    return [
        *dense_workloads(),
        gqa_workload(dataset, 0, [0, 5], [3, 1, 4, 0, 2], prefix="./"),
        gqa_workload(dataset, 1, [0, 4, 4, 9], [8, 2, 5, 11, 0, 7, 3, 14, 9], weight=12.0),
        gqa_workload(dataset, 2, [0, 12, 20, 37, 40], scattered),
        sampling_workload(dataset, 0, [1, 8]),
        sampling_workload(dataset, 1, [40, 1, 64, 5, 16]),
    ]


def dense_workloads() -> list[Trace]:
    """Those of which all inputs are random."""
    norm = random("hidden_states", cache="warm") | random("weight", static=True)
    fused = norm | random("residual", cache="warm", generator="normal")
    return [
        workload(RMSNORM, 0, norm, {"batch_size": 1}, weight=31.0),
        workload(RMSNORM, 1, norm, {"batch_size": 7}, weight=2.5),
        workload(RMSNORM, 2, random("hidden_states", "weight"), {"batch_size": 64}),
        workload(RMSNORM, 3, random("hidden_states", "weight"), {"batch_size": 300}),
        workload(FUSED, 0, fused, {"batch_size": 1}),
        workload(FUSED, 1, fused, {"batch_size": 48}),
        workload(GEMM, 0, random("A") | random("B", static=True, cache="cold"), {"M": 1}),
        workload(GEMM, 1, random("A", "B"), {"M": 33}),
        workload(GEMM, 2, random("A", "B"), {"M": 128}),
    ]


def gqa_workload(
    dataset: TraceSet,
    number: int,
    indptr: list[int],
    indices: list[int],
    prefix: str = "",
    **more: Any,
) -> Trace:
    inputs = random("q") | random("k_cache", "v_cache", cache="cold")
    inputs |= stored(dataset, GQA, number, prefix, kv_indptr=indptr, kv_indices=indices)
    inputs["sm_scale"] = ScalarInput(value=0.25)
    axes = {
        "batch_size": len(indptr) - 1,
        "num_pages": max(indices) + 1,
        "len_indptr": len(indptr),
        "num_kv_indices": len(indices),
    }
    return workload(GQA, number, inputs, axes, **more)


def sampling_workload(dataset: TraceSet, number: int, top_k: list[int]) -> Trace:
    inputs = random("probs", generator="probabilities")
    inputs |= stored(dataset, SAMPLING, number, top_k=top_k)
    return workload(SAMPLING, number, inputs, {"batch_size": len(top_k)})


def workload(
    of: str, number: int, inputs: dict[str, InputSpec], axes: dict[str, int], **more: Any
) -> Trace:
    entry = Workload(axes=axes, inputs=inputs, uuid=uuid_of(of, number), seed=number, **more)
    return Trace(definition=of, workload=entry, solution=None, evaluation=None)


def uuid_of(definition: str, number: int) -> str:
    return str(uuid5(NAMESPACE_URL, f"sample_dataset/{definition}/{number}"))


def random(*names: str, **more: Any) -> dict[str, InputSpec]:
    return {name: RandomInput(type="random", **more) for name in names}


def stored(
    dataset: TraceSet, of: str, number: int, prefix: str = "", **tensors: list[int]
) -> dict[str, InputSpec]:
    blob = {name: torch.tensor(values, dtype=torch.int32) for name, values in tensors.items()}
    path = prefix + dataset.add_workload_blob_tensor(of, uuid_of(of, number), blob)
    return {name: SafetensorsInput(path=path, tensor_key=name) for name in tensors}


def model() -> Model:
    """A small model in which two modules under different parents are named `down_proj`."""
    modules = {
        "layers": _module("block", 4, None),
        "input_layernorm": _module("layer", 4, "layers", FUSED),
        "self_attn": _module("block", 4, "layers"),
        "q_a_layernorm": _module("layer", 4, "self_attn", RMSNORM),
        "q_b_proj": _module("layer", 4, "self_attn", GEMM),
        "attn": _module("layer", 4, "self_attn", GQA),
        "mlp_dense": _module("block", 1, "layers"),
        "mlp_dense.down_proj": _module("layer", 1, "mlp_dense"),
        "mlp_moe": _module("block", 3, "layers"),
        "mlp_moe.down_proj": _module("layer", 48, "mlp_moe", GEMM),
        "sampler": _module("layer", 1, None, SAMPLING),
    }
    modules["mlp_moe.down_proj"]["label"] = "down_proj of 16 experts"
    return Model.model_validate(
        {
            "id": "sample-llm",
            "name": "Sample LLM",
            "description": "Not a real model: a dense layer, then three with experts.",
            "modules": modules,
        }
    )


def _module(kind: str, count: int, parent: str | None, *names: str) -> dict[str, Any]:
    module = {"count": count, **({"parent": parent} if parent else {}), "type": kind}
    return {**module, "definitions": list(names)} if names else module


def write(folder: Path) -> None:
    """The whole dataset, into a folder that is not there yet."""
    dataset = TraceSet(root=folder)
    for record in definitions():
        save_json_file(record, folder / layout.definition_file(record))
        dataset.definitions[record.name] = record
    for item in solutions():
        op_type = dataset.definitions[item.definition].op_type
        save_json_file(item, folder / layout.solution_file(item, op_type))
    dataset.add_workload_traces(workloads(dataset))
    sample_model = model()
    save_json_file(sample_model, folder / layout.model_file(sample_model))

    complete = TraceSet.from_path(folder)
    complete.add_traces(sample_traces.newer(complete))
    old_file = folder / layout.old_trace_file(complete.definitions[GEMM])
    save_jsonl_file(sample_traces.older(complete, GEMM), old_file)
    (folder / "README.md").write_text(README)


def main(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
    write(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if sys.argv[1:] else HERE / "sample_dataset")
