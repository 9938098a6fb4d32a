"""What is stored: Definition, Solution, Workload, Trace, Model, and TraceSet, their folder."""

from flashinfer_bench.data.checking import violations
from flashinfer_bench.data.definition import (
    AxisConst,
    AxisSpec,
    AxisVar,
    Definition,
    DType,
    TensorSpec,
)
from flashinfer_bench.data.json_utils import (
    append_jsonl_file,
    load_json_file,
    load_jsonl_file,
    save_json_file,
    save_jsonl_file,
)
from flashinfer_bench.data.model import Model, Module
from flashinfer_bench.data.ranking import Standing
from flashinfer_bench.data.scoring import SpeedupMetrics, TraceSetSummary
from flashinfer_bench.data.solution import (
    BuildSpec,
    Solution,
    SourceFile,
    SupportedBindings,
    SupportedLanguages,
)
from flashinfer_bench.data.trace import (
    Blame,
    Correctness,
    Environment,
    Evaluation,
    EvaluationStatus,
    Interval,
    Measurement,
    Performance,
    Trace,
)
from flashinfer_bench.data.trace_set import TraceSet
from flashinfer_bench.data.workload import (
    InputSpec,
    RandomInput,
    SafetensorsInput,
    ScalarInput,
    Workload,
)

__all__ = [
    "AxisConst",
    "AxisSpec",
    "AxisVar",
    "Blame",
    "BuildSpec",
    "Correctness",
    "DType",
    "Definition",
    "Environment",
    "Evaluation",
    "EvaluationStatus",
    "InputSpec",
    "Interval",
    "Measurement",
    "Model",
    "Module",
    "Performance",
    "RandomInput",
    "SafetensorsInput",
    "ScalarInput",
    "Solution",
    "SourceFile",
    "SpeedupMetrics",
    "Standing",
    "SupportedBindings",
    "SupportedLanguages",
    "TensorSpec",
    "Trace",
    "TraceSet",
    "TraceSetSummary",
    "Workload",
    "append_jsonl_file",
    "load_json_file",
    "load_jsonl_file",
    "save_json_file",
    "save_jsonl_file",
    "violations",
]
