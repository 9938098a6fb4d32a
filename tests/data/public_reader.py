"""What the public tool of 2026-04 reads, restated by its rules: unknown keys skipped, no more."""

from __future__ import annotations

import ast
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

Text = Annotated[str, Field(min_length=1)]
Length = Annotated[int, Field(ge=0)]
Time = Annotated[float, Field(ge=0)]

Floats = Literal["float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2", "float4_e2m1"]
DType = Floats | Literal["int64", "int32", "int16", "int8", "bool"]
Incorrect = Literal["INCORRECT_SHAPE", "INCORRECT_NUMERICAL", "INCORRECT_DTYPE"]
Status = Incorrect | Literal["PASSED", "RUNTIME_ERROR", "COMPILE_ERROR", "TIMEOUT"]


class Record(BaseModel):
    model_config = ConfigDict(extra="ignore", ser_json_inf_nan="strings")


class AxisConst(Record):
    type: Literal["const"] = "const"
    value: Length
    description: str | None = None


class AxisVar(Record):
    type: Literal["var"] = "var"
    description: str | None = None


class TensorSpec(Record):
    shape: list[str] | None
    dtype: DType
    description: str | None = None


class PublicDefinition(Record):
    name: Text
    op_type: Text
    axes: dict[Text, AxisConst | AxisVar]
    inputs: dict[Text, TensorSpec]
    outputs: dict[Text, TensorSpec]
    reference: Text
    tags: list[Text] = []
    description: str | None = None
    constraints: list[Text] = []

    @model_validator(mode="after")
    def _check(self) -> PublicDefinition:
        body = ast.parse(self.reference).body
        runs = [node for node in body if isinstance(node, ast.FunctionDef) and node.name == "run"]
        used = {axis for spec in self._tensors() for axis in spec.shape or ()}
        if not runs or set(self.inputs) & set(self.outputs) or used - set(self.axes):
            raise ValueError("breaks a rule of definitions")
        for constraint in self.constraints:
            ast.parse(constraint, mode="eval")
        return self

    def _tensors(self) -> list[TensorSpec]:
        return [*self.inputs.values(), *self.outputs.values()]


class SourceFile(Record):
    path: Text
    content: Text


class BuildSpec(Record):
    language: Literal["python", "triton", "cpp", "cuda", "tilelang"]
    target_hardware: Annotated[list[str], Field(min_length=1)]
    entry_point: Annotated[str, Field(pattern="^[^:]+::[^:]+$")]
    dependencies: list[str] = []
    destination_passing_style: bool = True
    binding: Literal["tvm-ffi", "torch"] | None = None


class PublicSolution(Record):
    name: Text
    definition: Text
    author: Text
    spec: BuildSpec
    sources: Annotated[list[SourceFile], Field(min_length=1)]
    description: str | None = None

    @model_validator(mode="after")
    def _check(self) -> PublicSolution:
        paths = [source.path for source in self.sources]
        outside = [p for p in paths if PurePosixPath(p).is_absolute() or ".." in p.split("/")]
        entry = self.spec.entry_point.split("::")[0]
        if outside or entry not in paths or len(set(paths)) < len(paths):
            raise ValueError("breaks a rule of solutions")
        return self


class RandomInput(Record):
    type: Literal["random"] = "random"


class ScalarInput(Record):
    type: Literal["scalar"] = "scalar"
    value: int | float | bool


class SafetensorsInput(Record):
    type: Literal["safetensors"] = "safetensors"
    path: Text
    tensor_key: Text


class Workload(Record):
    axes: dict[str, Length]
    inputs: dict[str, RandomInput | ScalarInput | SafetensorsInput]
    uuid: Text


class Correctness(Record):
    max_relative_error: float = 0.0
    max_absolute_error: float = 0.0
    extra: dict[str, object] | None = None

    @model_validator(mode="after")
    def _check(self) -> Correctness:
        if self.max_relative_error < 0 or self.max_absolute_error < 0:
            raise ValueError("negative error")
        return self


class Performance(Record):
    latency_ms: Time = 0.0
    reference_latency_ms: Time = 0.0
    speedup_factor: Time = 0.0


class Environment(Record):
    hardware: Text
    libs: dict[str, str] = {}


class Evaluation(Record):
    status: Status
    environment: Environment
    timestamp: Text
    log: str = ""
    correctness: Correctness | None = None
    performance: Performance | None = None

    @model_validator(mode="after")
    def _check(self) -> Evaluation:
        passed = self.status == "PASSED"
        judged = passed or self.status == "INCORRECT_NUMERICAL"
        if (self.performance is None) is passed or (self.correctness is None) is judged:
            raise ValueError("evidence does not fit the status")
        return self


class PublicTrace(Record):
    definition: Text
    workload: Workload
    solution: str | None = None
    evaluation: Evaluation | None = None


RecordT = TypeVar("RecordT", bound=Record)


def read_json(cls: type[RecordT], folder: Path) -> dict[Path, RecordT]:
    return {path: cls.model_validate_json(path.read_bytes()) for path in folder.rglob("*.json")}


def read_traces(folder: Path) -> list[PublicTrace]:
    """All lines of all files, at any depth."""
    lines = [
        line
        for path in sorted(folder.rglob("*.jsonl"))
        for line in path.read_text(encoding="utf-8").split("\n")
        if line.strip()
    ]
    return [PublicTrace.model_validate_json(line) for line in lines]
