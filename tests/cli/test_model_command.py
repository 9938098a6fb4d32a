"""`flashinfer-bench model` over a made-up SGLang and transformers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flashinfer_bench.cli import main
from flashinfer_bench.errors import ExitCode
from tests.models.config_sources import write_package
from tests.models.fallback_sources import FALLBACK, TRANSFORMERS

BEE = {
    **{"architectures": ["BeeForCausalLM"], "model_type": "bee", "vocab_size": 100},
    **{"hidden_size": 8, "num_layers": 2, "torch_dtype": "bfloat16"},
}


@pytest.fixture
def arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv("FIB_CACHE_PATH", str(tmp_path / "cache"))
    monkeypatch.setenv("FIB_DATASET_PATH", str(tmp_path / "none"))
    sglang = write_package(tmp_path, "sglang", FALLBACK)
    transformers = write_package(tmp_path, "transformers", TRANSFORMERS)
    config = tmp_path / "config.json"
    config.write_text(json.dumps(BEE))
    sources = ["--sglang-path", str(sglang), "--transformers-path", str(transformers)]
    return ["model", str(config), "--offline", "--tp", "1", *sources]


def test_the_tree(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == ExitCode.OK
    printed = capsys.readouterr()
    assert "[0-1] x 2  BeeLayer" in printed.out and "up  Wrapped  weight [32, 8]" in printed.out
    assert "tp 1, ep 1 (as stated)" in printed.err


def test_the_tree_as_json(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*arguments, "--format", "json"]) == ExitCode.OK
    found = json.loads(capsys.readouterr().out)
    assert found["parameters"] == 128 * 8 + 2 * (2 * 8 * 32 + 8 + 3) + 8
    assert found["tree"]["children"][0]["name"] == "model"


def test_definitions(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "dataset" / "definitions" / "gemm"
    folder.mkdir(parents=True)
    (folder / "gemm_n32_k8.json").write_text("{}")
    assert main([*arguments, "--definitions", "--local", str(tmp_path / "dataset")]) == ExitCode.OK
    printed = capsys.readouterr()
    rows = {line.split()[0]: line.split()[1] for line in printed.out.splitlines()}
    assert rows["gemm_n32_k8"] == "existing" and rows["gemm_n8_k32"] == "new"
    assert "new: gemm_n8_k32; nearest is gemm_n32_k8 (N 32 instead of 8" in printed.err
    assert "no operation yet: embedding lookup: model.embed_tokens" in printed.err


def test_definitions_as_json(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*arguments, "--definitions", "--format", "json"]) == ExitCode.OK
    found = json.loads(capsys.readouterr().out)
    layers = {it["module"]: it for it in found["layers"]}
    (up,) = layers["model.layers.0.up"]["definitions"]
    assert (up["name"], up["status"]) == ("gemm_n32_k8", "new")
    assert layers["model.embed_tokens"]["gap"] == "embedding lookup"
    assert {it["missing"] for it in found["missing"]} >= {"gemm_n32_k8", "gemm_n8_k32"}


def test_a_dataset_that_is_not_there(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--definitions", "--local", "nowhere"]) == ExitCode.NOT_FOUND
    assert "nowhere: no such folder" in capsys.readouterr().err


def test_kernels_come_from_sglang_only(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--kernels", "--format", "json"]) == ExitCode.OK
    found = json.loads(capsys.readouterr().out)
    assert found["architecture"] == "TransformersForCausalLM"
    assert found["route"]["source"] == "transformers"
    assert any(it["class"] == "BeeLayer" for it in found["classes"])


def test_all_of_it_in_files(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "written"
    assert main([*arguments, "--output", str(folder)]) == ExitCode.OK
    names = {Path(line).name for line in capsys.readouterr().out.splitlines()}
    assert names == {path.name for path in folder.iterdir()} and len(names) == 5
    held = {path.stem: json.loads(path.read_text()) for path in folder.iterdir()}
    assert held["model_config"]["hidden_size"] == 8
    assert held["module_mapping"]["layers"][0]["module"] == "model.embed_tokens"
    assert held["sglang_implementation"]["calls"] == held["kernel_calls"]
