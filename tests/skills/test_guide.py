"""The commands that users know, word for word, with SGLang's own source and without a network."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from flashinfer_bench.models.typescript import read_models
from flashinfer_bench.runner.main import main
from tests.skills.real_sources import SGLANG, real_sources

ROOT = Path(__file__).parents[2]
TS = Path("web/apps/web/data/models.ts")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that holds the sources, so that nothing is downloaded."""
    cache = tmp_path_factory.mktemp("guide")
    for name, package in real_sources().items():
        version = SGLANG if name == "sglang" else package.parent.name
        folder = cache / name / version
        folder.mkdir(parents=True)
        for it in (package, *package.parent.glob(f"{name}-*.dist-info")):
            (folder / it.name).symlink_to(it)
    return cache


@pytest.fixture(autouse=True)
def here(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkout with no models yet, and no network."""
    monkeypatch.setenv("FIB_CACHE_PATH", str(cache))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    data = tmp_path / TS.parent
    data.mkdir(parents=True)
    shutil.copy(ROOT / TS.parent / "types.ts", data)
    (tmp_path / "flashinfer_trace").mkdir()
    monkeypatch.chdir(tmp_path)


def run(line: str) -> int:
    command, *argv = shlex.split(line)
    assert command == "claude-code"
    return main(argv)


def modules(model_id: str) -> dict[str, dict[str, object]]:
    entries = {it.id: it.value for it in read_models(TS.read_text())}
    found = entries[model_id]
    assert found is not None
    return found["modules"]  # type: ignore[no-any-return]


def test_a_new_model(capsys: pytest.CaptureFixture[str]) -> None:
    line = "claude-code run add-new-model --model-name kimi-k2 --hf-repo-id moonshot-ai/kimi-k2"
    assert run(line) == 0
    counts = {key: it["count"] for key, it in modules("kimi-k2").items()}
    assert (counts["layers"], counts["mlp_dense"], counts["mlp_moe"]) == (61, 1, 60)
    attention = modules("kimi-k2")["attn_mqa"]["definitions"]
    assert "mla_paged_decode_h8_ckv512_kpe64_ps1" in attention  # type: ignore[operator]
    analysis = json.loads(Path("model_analysis_kimi-k2/model_analysis_kimi-k2.json").read_text())
    assert analysis["num_layers"] == 61 and "384 experts" in analysis["description"]
    capsys.readouterr()
    before = {path: path.stat().st_mtime_ns for path in Path().rglob("*")}
    assert run(line) == 0
    assert "nothing changed" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in Path().rglob("*")} == before


def test_a_new_model_by_its_name_alone() -> None:
    assert run("claude-code run add-new-model --model-name kimi-k2") == 0
    assert modules("kimi-k2")


def test_step_by_step() -> None:
    assert run("claude-code run extract-model-from-hf --model-id moonshot-ai/kimi-k2") == 0
    assert run("claude-code run find-sglang-baseline --model-name kimi") == 0
    found = json.loads(Path("model_analysis/sglang_implementation.json").read_text())
    assert found["evaluated"] and len(found["matches"]) > 1
    assert list(Path("model_analysis/code_snippets").glob("*.forward.py"))
    line = "claude-code run generate-model-definition --config config.json --output"
    assert run(f"{line} web/apps/web/data/models.ts") == 0
    assert modules("kimi-k2")["layers"]["count"] == 61


@pytest.mark.parametrize(
    "flags",
    [
        "--op-type mla_paged --model-name deepseek-v3 --num-samples 100",
        "--op-type gqa_paged --model-name llama-3.1-8b --num-samples 100",
    ],
)
def test_workloads_of_decode_and_prefill(flags: str) -> None:
    pytest.importorskip("torch")
    assert run(f"claude-code run collect-workloads {flags}") == 0
    names = [it.stem for it in Path("flashinfer_trace/workloads").rglob("*.jsonl")]
    assert any("_decode_" in it for it in names) and any("_prefill_causal_" in it for it in names)


def test_workloads_that_a_model_does_not_have(capsys: pytest.CaptureFixture[str]) -> None:
    line = "collect-workloads --model-name kimi-k2 --op-type gqa_paged --num-samples 200"
    assert run(f"claude-code run {line}") == 3
    told = capsys.readouterr().err
    assert "kimi-k2 has no gqa_paged; it has gemm, mla_paged" in told


def test_the_models_that_ship_are_what_the_tool_makes() -> None:
    sources = real_sources()
    command = [sys.executable, str(ROOT / "web" / "generate_models.py"), "--check"]
    command += ["--sglang", str(sources["sglang"]), "--transformers", str(sources["transformers"])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
