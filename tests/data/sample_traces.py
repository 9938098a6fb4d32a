"""The results of the sample dataset: made-up numbers, every status, two kinds of hardware."""

from __future__ import annotations

from typing import Any

from sample_definitions import FUSED, GEMM, GQA, RMSNORM, SAMPLING

from flashinfer_bench.data import Evaluation, Trace, TraceSet

H200, CPU = "NVIDIA H200", "AMD EPYC (CPU)"
LIBRARIES = {
    H200: {"torch": "2.11.0", "triton": "3.4.0", "cuda": "13.0"},
    CPU: {"torch": "2.11.0+cpu"},
}

Result = tuple[str, int, str, dict[str, Any]]
"""Solution, number of the workload, hardware, fields of the Evaluation."""

MEASUREMENT = {
    "timer": "cupti",
    "samples_ms": [0.0031, 0.0032, 0.0031, 0.0031, 0.0033, 0.0031, 0.0032, 0.0031],
    "interval": {"low_ms": 0.0031, "high_ms": 0.0032, "confidence": 0.95},
    "flush": "l2_write",
    "clocks": {"sm_mhz": 1980.0, "memory_mhz": 3201.0, "throttle": "none"},
}
CLOSE = {"max_relative_error": 0.0039, "max_absolute_error": 0.0156}
BUSY = "torch.OutOfMemoryError: another process holds the memory of the GPU\n"
NO_GPU = "RuntimeError: 0 active drivers ([]). There should only be one.\n"


def passed(latency_ms: float, reference_ms: float, **facts: Any) -> dict[str, Any]:
    return {
        "status": "PASSED",
        "correctness": CLOSE,
        "performance": {
            "latency_ms": latency_ms,
            "reference_latency_ms": reference_ms,
            "speedup_factor": round(reference_ms / latency_ms, 4),
        },
        **facts,
    }


def failed(status: str, log: str, blame: str = "solution", **facts: Any) -> dict[str, Any]:
    return {"status": status, "log": log, "blame": blame, **facts}


def incorrect(relative: float | str, absolute: float | str) -> dict[str, Any]:
    errors = {"max_relative_error": relative, "max_absolute_error": absolute}
    log = "output: more elements are off than the tolerance allows\n"
    return failed("INCORRECT_NUMERICAL", log, correctness=errors)


def results() -> list[Result]:
    """In the order of their times."""
    return [*_rmsnorm(), *_fused(), *_gemm(), *_gqa(), *_sampling()]


def _rmsnorm() -> list[Result]:
    baseline, triton, cpp = f"torch_{RMSNORM}", f"triton_{RMSNORM}", f"cpp_{RMSNORM}"
    unbuilt = failed("COMPILE_ERROR", "NameError: name 'tl' is not defined\n", isolation="none")
    measured = {"measurement": MEASUREMENT, "isolation": "landlock"}
    return [
        (baseline, 0, H200, passed(0.0062, 0.0248)),
        (baseline, 1, H200, passed(0.0062, 0.0251)),
        (baseline, 2, H200, passed(0.0064, 0.0256)),
        (baseline, 3, H200, passed(0.0072, 0.0288)),
        (baseline, 0, CPU, passed(0.011, 0.033)),
        (baseline, 1, CPU, passed(0.012, 0.036)),
        (baseline, 2, CPU, passed(0.02, 0.05)),
        (baseline, 3, CPU, passed(0.048, 0.12)),
        # The first verdict is superseded by the second.
        (triton, 0, H200, unbuilt),
        (triton, 0, H200, passed(0.0031, 0.0248, **measured)),
        (triton, 1, H200, passed(0.0031, 0.0251)),
        (triton, 2, H200, passed(0.0032, 0.0256)),
        (triton, 3, H200, passed(0.0036, 0.0288)),
        (cpp, 0, CPU, passed(0.0055, 0.033)),
        (cpp, 1, CPU, passed(0.006, 0.036)),
        (cpp, 2, CPU, passed(0.025, 0.05)),
        (cpp, 3, CPU, failed("TIMEOUT", "no answer in 300 s; load average 412\n", "machine")),
    ]


def _fused() -> list[Result]:
    hasty, triton = f"hasty_{FUSED}", f"triton_{FUSED}"
    dtype = "output: float32 returned, bfloat16 expected\n"
    return [
        (f"torch_{FUSED}", 0, H200, passed(0.0098, 0.0294)),
        (hasty, 0, H200, incorrect(1.75, 3.5)),
        (hasty, 1, H200, incorrect("NaN", "Infinity")),
        (triton, 0, H200, passed(0.0035, 0.0294)),
        (triton, 1, H200, failed("INCORRECT_DTYPE", dtype)),
        (triton, 0, CPU, failed("COMPILE_ERROR", NO_GPU)),
    ]


def _gemm() -> list[Result]:
    cuda, memoised = f"cuda_{GEMM}", f"memoised_{GEMM}"
    log = "same addresses, new values: the output is that of the old values\n"
    hack = failed("REWARD_HACK", log)
    return [
        (cuda, 0, H200, passed(0.0088, 0.0076)),
        (cuda, 1, H200, passed(0.0082, 0.0081)),
        (cuda, 2, H200, passed(0.0071, 0.0086)),
        *[(memoised, number, H200, hack) for number in range(3)],
    ]


def _gqa() -> list[Result]:
    baseline, padded = f"torch_{GQA}", f"padded_{GQA}"
    stuck = failed("TIMEOUT", "no answer in 300 s\n")
    return [
        (baseline, 0, H200, passed(0.061, 0.102)),
        (baseline, 1, H200, passed(0.134, 0.103)),
        (baseline, 2, H200, failed("RUNTIME_ERROR", BUSY, "machine")),
        (baseline, 0, CPU, passed(0.14, 0.21)),
        (padded, 0, H200, passed(0.048, 0.102)),
        (padded, 1, H200, stuck),
    ]


def _sampling() -> list[Result]:
    gumbel = f"gumbel_{SAMPLING}"
    exact = {"max_relative_error": 0.0, "max_absolute_error": 0.0, "extra": {"tvd": 0.0121}}
    shape = "samples: shape [5, 1] returned, [5] expected\n"
    return [
        (gumbel, 0, H200, passed(0.019, 0.038, correctness=exact)),
        (gumbel, 1, H200, failed("INCORRECT_SHAPE", shape)),
    ]


def newer(dataset: TraceSet) -> list[Trace]:
    """As this tool writes them, with its further keys; a minute from one to the next."""
    return [
        _trace(dataset, result, f"2026-01-05T10:{minute:02}:00+00:00")
        for minute, result in enumerate(results())
    ]


def older(dataset: TraceSet, definition: str) -> list[Trace]:
    """As the public tool wrote them in 2025: no further keys, times without a zone."""
    baseline, cuda = (f"{prefix}_{definition}" for prefix in ("torch", "cuda"))
    results: list[Result] = [
        (baseline, 0, H200, passed(0.0066, 0.0076)),
        (baseline, 1, H200, passed(0.0067, 0.0081)),
        (baseline, 2, H200, passed(0.0071, 0.0086)),
        (cuda, 0, H200, {"status": "RUNTIME_ERROR", "log": "misaligned address\n"}),
        (cuda, 1, H200, {"status": "INCORRECT_SHAPE"}),
    ]
    return [
        _trace(dataset, result, f"2025-11-03T09:{minute:02}:00.250000", old=True)
        for minute, result in enumerate(results)
    ]


def _trace(dataset: TraceSet, result: Result, timestamp: str, *, old: bool = False) -> Trace:
    name, number, hardware, fields = result
    solution = dataset.get_solution(name)
    assert solution is not None, name
    environment = {"hardware": hardware, "libs": LIBRARIES[hardware]}
    evaluation = {"environment": environment, "timestamp": timestamp, "log": "", **fields}
    if not old:
        evaluation = {"isolation": "process", **evaluation}
    return Trace(
        definition=solution.definition,
        workload=dataset.workloads[solution.definition][number].workload,
        solution=name,
        evaluation=Evaluation.model_validate(evaluation),
        **({} if old else {"solution_digest": solution.digest()}),
    )
