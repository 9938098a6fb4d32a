"""A Trace: what happened when a Solution ran a Workload, or a Workload on its own."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    SerializationInfo,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from flashinfer_bench.data.base import NonEmptyString, StoredModel
from flashinfer_bench.data.workload import Workload


class EvaluationStatus(str, Enum):
    """The verdict on one evaluation."""

    PASSED = "PASSED"
    INCORRECT_SHAPE = "INCORRECT_SHAPE"
    INCORRECT_NUMERICAL = "INCORRECT_NUMERICAL"
    INCORRECT_DTYPE = "INCORRECT_DTYPE"
    RUNTIME_ERROR = "RUNTIME_ERROR"
    COMPILE_ERROR = "COMPILE_ERROR"
    TIMEOUT = "TIMEOUT"
    REWARD_HACK = "REWARD_HACK"

    def __str__(self) -> str:
        return self.value


class Blame(str, Enum):
    """Whose fault a failed evaluation is; only the solution's own faults count against it."""

    SOLUTION = "solution"
    REFERENCE = "reference"
    HARNESS = "harness"
    MACHINE = "machine"

    def __str__(self) -> str:
        return self.value


class Correctness(StoredModel):
    """How far the outputs were from the reference's."""

    max_relative_error: float = 0.0
    """Largest relative error; infinities and NaN are written as strings."""
    max_absolute_error: float = 0.0
    """Largest absolute error; infinities and NaN are written as strings."""
    extra: dict[str, Any] | None = None
    """Further facts of the check."""

    @model_validator(mode="after")
    def _errors_have_no_sign(self) -> Correctness:
        if self.max_relative_error < 0 or self.max_absolute_error < 0:
            raise ValueError("an error is negative; sizes >= 0 or NaN are expected")
        return self


class Performance(StoredModel):
    """How long it took."""

    latency_ms: Annotated[float, Field(ge=0)] = 0.0
    """Latency of the solution, in milliseconds."""
    reference_latency_ms: Annotated[float, Field(ge=0)] = 0.0
    """Latency of the reference, in milliseconds."""
    speedup_factor: Annotated[float, Field(ge=0)] = 0.0
    """Reference latency divided by the solution's."""


class Environment(StoredModel):
    """Where it ran."""

    hardware: NonEmptyString
    """Device name, e.g. `NVIDIA H200`; results are compared on the same hardware only."""
    libs: dict[str, str] = {}
    """Library name to version."""


class Interval(StoredModel):
    """Confidence interval of the latency."""

    low_ms: Annotated[float, Field(ge=0)]
    """Lower end, in milliseconds."""
    high_ms: Annotated[float, Field(ge=0)]
    """Upper end, in milliseconds."""
    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.95
    """Share of repetitions that would cover the true latency."""


class Measurement(StoredModel):
    """How a latency was measured."""

    timer: NonEmptyString | None = None
    """Clock, e.g. `cupti`, `cuda_event`, `perf_counter`."""
    samples_ms: list[Annotated[float, Field(ge=0)]] | None = None
    """Every timed call, in milliseconds, in order."""
    interval: Interval | None = None
    """Confidence interval of the latency."""
    flush: NonEmptyString | None = None
    """What emptied the caches between calls, e.g. `l2_write`, `none`."""
    clocks: dict[str, float | str] | None = None
    """Clock rates in MHz and throttle reasons seen during the run."""


class Evaluation(StoredModel):
    """The verdict on one run, with its evidence.

    PASSED needs correctness and performance; INCORRECT_NUMERICAL needs correctness and has no
    performance; every other status has neither.

    REWARD_HACK is written as status RUNTIME_ERROR with `"verdict": "REWARD_HACK"` beside it: a
    public reader, which rejects unknown statuses and skips unknown keys, sees a failure.
    """

    status: EvaluationStatus
    """The verdict."""
    environment: Environment
    """Where it ran."""
    timestamp: NonEmptyString
    """When it ran, ISO 8601; a time without zone is taken as UTC."""
    log: str = ""
    """Captured standard output and error."""
    correctness: Correctness | None = None
    """How far the outputs were from the reference's."""
    performance: Performance | None = None
    """How long it took."""
    verdict: Literal["REWARD_HACK"] | None = None
    """Written with status RUNTIME_ERROR where the true status is REWARD_HACK."""
    measurement: Measurement | None = None
    """How the latency was measured."""
    isolation: NonEmptyString | None = None
    """How far the solution was kept from the judge, e.g. `none`, `process`, `landlock`."""
    blame: Blame | None = None
    """Whose fault a failure is."""

    @model_validator(mode="after")
    def _evidence_fits_status(self) -> Evaluation:
        if self.verdict is not None:
            self.status = EvaluationStatus.REWARD_HACK
        elif self.status is EvaluationStatus.REWARD_HACK:
            self.verdict = "REWARD_HACK"
        passed = self.status is EvaluationStatus.PASSED
        judged = passed or self.status is EvaluationStatus.INCORRECT_NUMERICAL
        if (self.correctness is not None) is not judged:
            raise ValueError(_misfit(self.status, "correctness", judged))
        if (self.performance is not None) is not passed:
            raise ValueError(_misfit(self.status, "performance", passed))
        return self

    @model_serializer(mode="wrap")
    def _write(
        self, handler: SerializerFunctionWrapHandler, info: SerializationInfo
    ) -> dict[str, Any]:
        record: dict[str, Any] = handler(self)
        if info.mode == "json" and self.status is EvaluationStatus.REWARD_HACK:
            record["status"] = EvaluationStatus.RUNTIME_ERROR.value
            record["verdict"] = "REWARD_HACK"
        return record


def _misfit(status: EvaluationStatus, part: str, needed: bool) -> str:
    found, rule = ("missing", "needs") if needed else ("given", "must not have")
    return f"{part} is {found}, but status {status} {rule} it"


class Trace(StoredModel):
    """One line of a traces or workloads file; a workload alone has no solution or evaluation."""

    definition: NonEmptyString
    """Name of the Definition."""
    workload: Workload
    """The input."""
    solution: str | None = None
    """Name of the Solution that ran; null for a workload on its own."""
    evaluation: Evaluation | None = None
    """The verdict; null for a workload on its own."""
    solution_digest: NonEmptyString | None = None
    """`Solution.digest()` of the code that ran (ignored by the public tool)."""

    def is_workload_trace(self) -> bool:
        """Whether this is a workload on its own."""
        return self.solution is None and self.evaluation is None

    def is_successful(self) -> bool:
        """Whether the solution passed."""
        return self.evaluation is not None and self.evaluation.status is EvaluationStatus.PASSED

    def is_within(self, atol: float, rtol: float) -> bool:
        """Whether the solution passed with both largest errors within these bounds."""
        correctness = self.evaluation.correctness if self.evaluation else None
        return (
            self.is_successful()
            and correctness is not None
            and correctness.max_absolute_error <= atol
            and correctness.max_relative_error <= rtol
        )

    def speedup(self) -> float:
        """Speedup over the reference; 0 without a measurement."""
        performance = self.evaluation.performance if self.evaluation else None
        return performance.speedup_factor if performance else 0.0


__all__ = [
    "Blame",
    "Correctness",
    "Environment",
    "Evaluation",
    "EvaluationStatus",
    "Interval",
    "Measurement",
    "Performance",
    "Trace",
]
