"""`collect-workloads`, over a made-up SGLang."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("safetensors")

from flashinfer_bench.data import TraceSet
from flashinfer_bench.skills.collect_workloads import SKILL
from flashinfer_bench.skills.execution import helper_main
from tests.workloads.dump_writer import DumpWriter

GEMM = "gemm_bf16_n32_k8"


@pytest.fixture
def collecting(sources: list[str], capsys: pytest.CaptureFixture[str]) -> Any:
    Path("data").mkdir()

    def run(*flags: str) -> tuple[int, dict[str, Any]]:
        words = ["--model-name", "bee/config.json", "--output", "data", *flags, *sources]
        code = helper_main(SKILL, words)
        return code, json.loads(capsys.readouterr().out)

    return run


def test_simulated_workloads_of_a_model(collecting: Any) -> None:
    code, envelope = collecting("--num-samples", "5", "--most", "6")
    assert code == 0, envelope["error"]
    assert any("source: simulated" in it for it in envelope["notes"])
    trace_set = TraceSet.from_path("data")
    assert not trace_set.problems and GEMM in trace_set.workloads
    rows = [trace.workload for trace in trace_set.workloads[GEMM]]
    assert 1 < len(rows) <= 6
    again = collecting("--num-samples", "5", "--most", "6")[1]
    assert {it["changed"] for it in again["outputs"]} == {False}


def test_selectors(collecting: Any) -> None:
    assert collecting("--definition-names", GEMM, "--num-samples", "2")[0] == 0
    assert list(Path("data/workloads").rglob("*.jsonl")) == [
        Path(f"data/workloads/gemm/{GEMM}.jsonl")
    ]
    code, envelope = collecting("--op-type", "mla_paged")
    assert code == 3 and "has no mla_paged; it has gemm" in envelope["error"]
    code, envelope = collecting("--definition-names", "rmsnorm_h1")
    assert code == 3 and GEMM.replace("_bf16", "") in envelope["error"]
    assert collecting("--all", "--op-type", "gemm")[0] == 2


def test_a_dump(collecting: Any) -> None:
    writer = DumpWriter(Path("dump"))
    writer.rmsnorm(3)
    writer.decode([4, 5])
    writer.call("merge_state", "(v_a)", [], module="flashinfer.cascade")
    code, envelope = collecting("--from-dump", "dump", "--op-type", "gqa_paged")
    assert code == 0
    assert any("merge_state dropped: no operation" in it for it in envelope["notes"])
    assert any("rmsnorm_h512 dropped: not asked for" in it for it in envelope["notes"])
    assert set(TraceSet.from_path("data").workloads) == {"gqa_paged_decode_h4_kv2_d16_ps1"}


def test_nothing_is_written_in_a_dry_run(collecting: Any) -> None:
    code, envelope = collecting("--num-samples", "2", "--dry-run")
    assert code == 0 and not envelope["outputs"] and not list(Path("data").iterdir())


@pytest.mark.parametrize(
    ("flags", "code"),
    [(("--from-dump", "none"), 3), (("--dataset", "none.json"), 3), (("--num-samples", "0"), 2)],
)
def test_what_is_not_there(collecting: Any, flags: tuple[str, ...], code: int) -> None:
    found, envelope = collecting(*flags)
    assert found == code and envelope["error"] and not list(Path("data").iterdir())


def test_pull_requests_are_prepared_and_sent_on_demand(
    collecting: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    few = ("--num-samples", "2", "--definition-names", GEMM)
    code, envelope = collecting(*few, "--pr-title", "Ours", "--pr-branch", "my_work")
    assert code == 0 and "--commit-message Ours" in envelope["next"][-1]
    assert GEMM in Path("pull_request_my-work.md").read_text()
    code, envelope = collecting(*few, "--submit-pr", "false")
    assert code == 0 and not any("--create-pr" in it for it in envelope["next"])
    code, envelope = collecting(*few, "--submit-pr", "true")
    assert code == 4 and "no login on the Hub" in envelope["error"]
