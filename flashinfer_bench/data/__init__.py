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
    from flashinfer_bench.data.model import Layout, Model, Module, Origin
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
    "Layout",
    "Measurement",
    "Model",
    "Module",
    "Origin",
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

_MODULES = (
    "checking",
    "definition",
    "json_utils",
    "model",
    "ranking",
    "scoring",
    "solution",
    "trace",
    "trace_set",
    "workload",
)


def __getattr__(name: str) -> Any:
    if name in __all__:
        for module in _MODULES:
            inside = vars(import_module(f"{__name__}.{module}"))
            if name in inside:
                globals()[name] = inside[name]
                return inside[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
