from __future__ import annotations

import json
import math

import pytest
from pydantic import ValidationError
from records import PASSED, evaluation_data, trace_data, without, workload_data

from flashinfer_bench.data import (
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
from flashinfer_bench.data.base import unknown_keys

STATUSES = [status.value for status in EvaluationStatus]
CORRECT, FAST = PASSED["correctness"], PASSED["performance"]


def parse(**changes) -> Trace:
    return Trace.model_validate_json(json.dumps(trace_data(**changes)))


def evaluation(*args, **changes) -> Evaluation:
    return Evaluation.model_validate_json(json.dumps(evaluation_data(*args, **changes)))


def written(record) -> dict:
    return json.loads(record.model_dump_json(exclude_unset=True))


def test_fields_and_defaults():
    trace = parse()
    assert (trace.solution, trace.solution_digest) == ("torch_gemm", None)
    assert trace.evaluation is not None
    assert (trace.evaluation.log, trace.evaluation.environment.libs) == ("", {})
    assert (Correctness().max_relative_error, Correctness().max_absolute_error) == (0, 0)
    assert Performance() == Performance(latency_ms=0, reference_latency_ms=0, speedup_factor=0)


@pytest.mark.parametrize("key", ["definition", "workload"])
def test_required_fields(key):
    with pytest.raises(ValidationError, match=key):
        Trace.model_validate(without(trace_data(), key))


@pytest.mark.parametrize("key", ["status", "environment", "timestamp"])
def test_required_fields_of_an_evaluation(key):
    with pytest.raises(ValidationError, match=key):
        Evaluation.model_validate(without(evaluation_data(), key))


@pytest.mark.parametrize(
    ("solution", "status", "is_workload", "successful"),
    [
        (None, None, True, False),
        ("s", None, False, False),
        (None, "PASSED", False, True),
        ("s", "PASSED", False, True),
        ("s", "TIMEOUT", False, False),
        ("s", "REWARD_HACK", False, False),
    ],
)
def test_kinds_of_traces(solution, status, is_workload, successful):
    trace = parse(solution=solution, evaluation=evaluation_data(status) if status else None)
    assert trace.is_workload_trace() is is_workload
    assert trace.is_successful() is successful


def test_a_workload_may_omit_the_rest():
    trace = Trace.model_validate({"definition": "d", "workload": workload_data()})
    assert trace.is_workload_trace()
    assert set(written(trace)) == {"definition", "workload"}


NEEDED = {"PASSED": {"correctness", "performance"}, "INCORRECT_NUMERICAL": {"correctness"}}


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("parts", [(), ("correctness",), ("performance",), tuple(PASSED)])
def test_evidence_must_fit_the_status(status, parts):
    evidence = {part: PASSED[part] for part in parts}
    data = {**evaluation_data("TIMEOUT"), "status": status, **evidence}
    if set(parts) == NEEDED.get(status, set()):
        assert Evaluation.model_validate(data).status.value == status
        return
    with pytest.raises(ValidationError, match=f"status {status} (needs|must not have)"):
        Evaluation.model_validate(data)


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"status": "passed"}, "status"),
        ({"status": "CRASHED"}, "status"),
        ({"timestamp": ""}, "timestamp"),
        ({"timestamp": None}, "timestamp"),
        ({"environment": {"hardware": ""}}, "hardware"),
        ({"environment": {}}, "hardware"),
        ({"environment": {"hardware": "x", "libs": {"torch": 2}}}, "libs.torch"),
        ({"correctness": {"max_relative_error": -1.0}}, "an error is negative"),
        ({"correctness": {"max_absolute_error": -0.5}}, "an error is negative"),
        ({"correctness": {"max_absolute_error": "-Infinity"}}, "an error is negative"),
        ({"correctness": {"max_absolute_error": None}}, "max_absolute_error"),
        ({"performance": {"latency_ms": -1.0}}, "latency_ms"),
        ({"performance": {"reference_latency_ms": -1.0}}, "reference_latency_ms"),
        ({"performance": {"speedup_factor": -1.0}}, "speedup_factor"),
        ({"performance": {"latency_ms": "NaN"}}, "latency_ms"),
        ({"log": None}, "log"),
        ({"verdict": "CHEATED"}, "verdict"),
        ({"blame": "nobody"}, "blame"),
        ({"isolation": ""}, "isolation"),
        ({"measurement": {"timer": ""}}, "timer"),
        ({"measurement": {"samples_ms": [1, -1]}}, "samples_ms.1"),
        ({"measurement": {"interval": {"low_ms": 1}}}, "high_ms"),
        ({"measurement": {"interval": {"low_ms": 1, "high_ms": 2, "confidence": 1}}}, "confidence"),
    ],
)
def test_refused(changes, place):
    with pytest.raises(ValidationError) as caught:
        evaluation(**changes)
    assert place in str(caught.value)


@pytest.mark.parametrize("timestamp", ["yesterday", "2026-01-01", " ", "1767225600"])
def test_any_text_is_a_timestamp(timestamp):
    assert evaluation(timestamp=timestamp).timestamp == timestamp


@pytest.mark.parametrize(
    ("text", "number"), [("NaN", math.nan), ("Infinity", math.inf), (0.5, 0.5)]
)
def test_errors_that_json_lacks_come_back(text, number):
    errors = {"max_relative_error": text, "max_absolute_error": text, "extra": {"matched": 0.9}}
    read = evaluation("INCORRECT_NUMERICAL", correctness=errors)
    assert read.correctness is not None
    assert repr(read.correctness.max_relative_error) == repr(number)
    assert written(read)["correctness"] == errors


def test_numbers_in_extra_are_written_as_valid_json():
    extra = {"deep": [{"tvd": math.nan}, -math.inf]}
    text = Correctness(extra=extra).model_dump_json(exclude_unset=True)
    expected = {"extra": {"deep": [{"tvd": "NaN"}, "-Infinity"]}}
    assert json.loads(text, parse_constant=pytest.fail) == expected


def test_infinite_latency():
    read = evaluation(performance={**FAST, "latency_ms": "Infinity"})
    assert read.performance is not None
    assert read.performance.latency_ms == math.inf
    assert written(read)["performance"]["latency_ms"] == "Infinity"


def test_measurement():
    facts = {
        "timer": "cupti",
        "samples_ms": [1.0, 1.5],
        "interval": {"low_ms": 1.0, "high_ms": 1.5},
        "flush": "l2_write",
        "clocks": {"sm_mhz": 1980.0, "throttle": "none"},
    }
    read = evaluation(measurement=facts, isolation="process", blame="machine")
    assert read.measurement == Measurement(
        timer="cupti",
        samples_ms=[1.0, 1.5],
        interval=Interval(low_ms=1, high_ms=1.5),
        flush="l2_write",
        clocks={"sm_mhz": 1980.0, "throttle": "none"},
    )
    assert read.measurement.interval is not None
    assert read.measurement.interval.confidence == 0.95
    assert read.blame is Blame.MACHINE
    assert written(read)["measurement"] == facts


def test_a_hack_is_written_as_a_failure_that_others_know():
    hack = Evaluation(
        status=EvaluationStatus.REWARD_HACK,
        environment=Environment(hardware="cpu"),
        timestamp="now",
    )
    assert hack.verdict == "REWARD_HACK"
    assert written(hack) == {
        "status": "RUNTIME_ERROR",
        "environment": {"hardware": "cpu"},
        "timestamp": "now",
        "verdict": "REWARD_HACK",
    }
    assert hack.model_dump()["status"] is EvaluationStatus.REWARD_HACK
    assert hack.model_dump(mode="json")["status"] == "RUNTIME_ERROR"


@pytest.mark.parametrize("status", ["REWARD_HACK", "RUNTIME_ERROR"])
def test_a_hack_is_read_back(status):
    changes = {} if status == "REWARD_HACK" else {"verdict": "REWARD_HACK"}
    read = evaluation(status, **changes)
    assert read.status is EvaluationStatus.REWARD_HACK
    again = Evaluation.model_validate(written(read))
    assert again.status is EvaluationStatus.REWARD_HACK
    assert written(again) == written(read)


def test_a_plain_runtime_error_is_no_hack():
    read = evaluation("RUNTIME_ERROR", verdict=None)
    assert read.status is EvaluationStatus.RUNTIME_ERROR
    assert written(read)["verdict"] is None


def test_a_hack_has_no_evidence():
    with pytest.raises(ValidationError, match="REWARD_HACK must not have"):
        evaluation("PASSED", verdict="REWARD_HACK")


@pytest.mark.parametrize("status", STATUSES)
def test_statuses_are_their_own_text(status):
    assert str(EvaluationStatus(status)) == status


def test_unknown_keys_survive_at_every_level():
    correctness = {**CORRECT, "ulp": 3, "extra": {"free": None}}
    performance = {**FAST, "roofline": 0.5}
    environment = {"hardware": "cpu", "driver": "580", "libs": {"torch": "2.11"}}
    measurement = {"timer": "x", "l2_bytes": 1, "interval": {"low_ms": 1, "high_ms": 2, "by": "b"}}
    data = trace_data(
        note="kept",
        workload=workload_data(extra_key=1),
        evaluation=evaluation_data(
            correctness=correctness,
            performance=performance,
            environment=environment,
            measurement=measurement,
            seed=9,
        ),
    )
    trace = Trace.model_validate_json(json.dumps(data))
    assert written(trace) == data
    assert sorted(unknown_keys(trace)) == [
        "evaluation.correctness.ulp",
        "evaluation.environment.driver",
        "evaluation.measurement.interval.by",
        "evaluation.measurement.l2_bytes",
        "evaluation.performance.roofline",
        "evaluation.seed",
        "note",
        "workload.extra_key",
    ]
