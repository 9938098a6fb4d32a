"""FlashInfer-Bench connects LLM serving engines to GPU kernels.

Names are loaded when first used, so that importing the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from flashinfer_bench._version import __version__

if TYPE_CHECKING:
    from flashinfer_bench.data import (
        AxisConst,
        AxisVar,
        BuildSpec,
        Correctness,
        Definition,
        Environment,
        Evaluation,
        EvaluationStatus,
        Performance,
        RandomInput,
        SafetensorsInput,
        Solution,
        SourceFile,
        SupportedLanguages,
        TensorSpec,
        Trace,
        TraceSet,
        Workload,
    )

__version_tuple__ = tuple(int(part) for part in __version__.split(".")[:3])

__all__ = [
    "AxisConst",
    "AxisVar",
    "BuildSpec",
    "Correctness",
    "Definition",
    "Environment",
    "Evaluation",
    "EvaluationStatus",
    "Performance",
    "RandomInput",
    "SafetensorsInput",
    "Solution",
    "SourceFile",
    "SupportedLanguages",
    "TensorSpec",
    "Trace",
    "TraceSet",
    "Workload",
    "__version__",
    "__version_tuple__",
]

_HOME_OF = {name: "flashinfer_bench.data" for name in __all__ if not name.startswith("__")}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'flashinfer_bench' has no attribute {name!r}")
    value = getattr(import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME_OF})
