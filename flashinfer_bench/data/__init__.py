"""What is stored: Definition, Solution, Workload, Trace, Model, and TraceSet, their folder.

Names are loaded when first used: most of what needs one module needs no other.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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

_NAMES_IN = {
    "checking": ("violations",),
    "definition": (
        "AxisConst",
        "AxisSpec",
        "AxisVar",
        "DType",
        "Definition",
        "TensorSpec",
    ),
    "json_utils": (
        "append_jsonl_file",
        "load_json_file",
        "load_jsonl_file",
        "save_json_file",
        "save_jsonl_file",
    ),
    "model": (
        "Model",
        "Module",
    ),
    "ranking": ("Standing",),
    "scoring": (
        "SpeedupMetrics",
        "TraceSetSummary",
    ),
    "solution": (
        "BuildSpec",
        "Solution",
        "SourceFile",
        "SupportedBindings",
        "SupportedLanguages",
    ),
    "trace": (
        "Blame",
        "Correctness",
        "Environment",
        "Evaluation",
        "EvaluationStatus",
        "Interval",
        "Measurement",
        "Performance",
        "Trace",
    ),
    "trace_set": ("TraceSet",),
    "workload": (
        "InputSpec",
        "RandomInput",
        "SafetensorsInput",
        "ScalarInput",
        "Workload",
    ),
}
_HOME_OF = {name: module for module, names in _NAMES_IN.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'flashinfer_bench.data' has no attribute {name!r}")
    value = getattr(import_module(f"flashinfer_bench.data.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME_OF})
