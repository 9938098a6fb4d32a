"""The helpers of the skills, over a made-up SGLang."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from flashinfer_bench.env import cache_path
from flashinfer_bench.models.typescript import read_models
from flashinfer_bench.skills import (
    add_new_model,
    extract_hf,
    find_sglang_baseline,
    generate_model_definition,
)
from flashinfer_bench.skills.contract import Skill
from flashinfer_bench.skills.execution import helper_main

Ended = tuple[int, dict[str, Any]]
TS = Path("models.ts")


@pytest.fixture
def ended(sources: list[str], capsys: pytest.CaptureFixture[str]) -> Any:
    def run(skill: Skill, *flags: str) -> Ended:
        code = helper_main(skill, [*flags, *sources])
        return code, json.loads(capsys.readouterr().out)

    return run


def states(envelope: dict[str, Any]) -> set[bool]:
    return {it["changed"] for it in envelope["outputs"]}


def extract(ended: Any, *flags: str) -> Ended:
    found: Ended = ended(extract_hf.SKILL, "--model-id", "bee/config.json", *flags)
    return found


def generate(ended: Any, *flags: str) -> Ended:
    found: Ended = ended(generate_model_definition.SKILL, "--output", str(TS), *flags)
    return found


def add(ended: Any, *flags: str) -> Ended:
    words = ("--model-name", "bee", "--hf-repo-id", "bee/config.json", "--output", str(TS))
    found: Ended = ended(add_new_model.SKILL, *words, *flags)
    return found


def test_extraction_writes_its_files_once(ended: Any) -> None:
    code, envelope = extract(ended)
    assert (code, envelope["exit_code"], states(envelope)) == (0, 0, {True})
    names = ["model_config.json", "model_architecture.json", "module_mapping.json"]
    assert [it["path"] for it in envelope["outputs"]] == [f"model_analysis/{it}" for it in names]
    config = json.loads(Path("model_analysis/model_config.json").read_text())
    assert config["hidden_size"] == 8 and config["_flashinfer_bench"]["model_id"] == "bee"
    mapping = json.loads(Path("model_analysis/module_mapping.json").read_text())
    assert "gemm_n32_k8" in {it["missing"] for it in mapping["new"]}
    assert states(extract(ended)[1]) == {False}


def test_extraction_beside_a_named_file(ended: Any) -> None:
    assert extract(ended, "--output", "out/bee.json")[0] == 0
    found = sorted(it.name for it in Path("out").iterdir())
    assert found == ["bee.json", "model_architecture.json", "module_mapping.json"]


def test_the_same_block_from_each_kind_of_file(ended: Any) -> None:
    extract(ended)
    blocks = []
    for name in ("bee/config.json", "model_analysis/model_config.json",
                 "model_analysis/model_architecture.json"):  # fmt: skip
        TS.unlink(missing_ok=True)
        assert generate(ended, "--config", name)[0] == 0
        (entry,) = read_models(TS.read_text())
        assert entry.id == "bee" and entry.ours and entry.value is not None
        blocks.append(entry.value["modules"])
    assert blocks[0] == blocks[1] == blocks[2]
    assert blocks[0]["up"]["definitions"] == ["gemm_n32_k8"] and blocks[0]["up"]["count"] == 2
    assert Path("types.ts").is_file()


def test_a_bare_config_that_is_not_there_is_the_extracted_one(ended: Any) -> None:
    assert generate(ended, "--config", "config.json")[1]["error"].startswith("config.json: no such")
    extract(ended)
    code, envelope = generate(ended, "--config", "config.json")
    assert code == 0
    assert "no config.json here: model_analysis/model_config.json is taken" in envelope["notes"]


def test_a_dry_run_writes_nothing(ended: Any) -> None:
    code, envelope = generate(ended, "--config", "bee/config.json", "--dry-run")
    assert code == 0 and '+    id: "bee",' in envelope["diff"] and states(envelope) == {True}
    assert not TS.exists()
    code, envelope = add(ended, "--dry-run", "true")
    assert code == 0 and not TS.exists() and not Path("model_analysis_bee").exists()


def test_outside_of_a_checkout_the_output_is_needed(ended: Any) -> None:
    code, envelope = ended(generate_model_definition.SKILL, "--config", "bee/config.json")
    assert code == 2 and "give --output with a models.ts" in envelope["error"]


def test_another_models_implementation_is_refused(ended: Any) -> None:
    Path("impl.json").write_text('{"architecture": "WaspForCausalLM"}')
    code, envelope = generate(ended, "--config", "bee/config.json", "--sglang-impl", "impl.json")
    assert code == 5 and "is of WaspForCausalLM" in envelope["error"] and not TS.exists()


def test_names_that_are_stated(ended: Any) -> None:
    stated = ("--model-name", "My_Bee", "--display-name", "Bee!", "--description", 'It\'s "small"')
    assert generate(ended, "--config", "bee/config.json", *stated)[0] == 0
    (entry,) = read_models(TS.read_text())
    assert entry.value is not None
    found = [entry.value[it] for it in ("id", "name", "description")]
    assert found == ["my-bee", "Bee!", 'It\'s "small"']


def test_a_whole_model(ended: Any, tmp_path: Path) -> None:
    code, envelope = add(ended)
    assert code == 0 and states(envelope) == {True}
    folder = Path("model_analysis_bee")
    analysis = json.loads((folder / "model_analysis_bee.json").read_text())
    assert (analysis["num_layers"], analysis["layer_runs"]) == (2, [[2, "BeeLayer"]])
    names = (folder / "definitions_bee.txt").read_text().splitlines()
    assert "gemm_n32_k8" in names and len(names) == len(set(names))
    report = (folder / "model_addition_summary.md").read_text()
    assert "| `gemm_n32_k8` | new |" in report and "layers ×2" in report
    again = add(ended)[1]
    assert states(again) == {False} and again["diff"] == ""
    records = sorted((cache_path() / "runs").glob("*-add-new-model-*.json"))
    assert json.loads(records[0].read_text())["status"] == envelope["status"]


def test_new_definitions_are_written_on_request(ended: Any) -> None:
    Path("dataset/definitions").mkdir(parents=True)
    flags = ("--dataset", "dataset", "--write-definitions")
    assert add(ended, *flags)[0] == 0
    written = Path("dataset/definitions/gemm/gemm_n32_k8.json")
    assert json.loads(written.read_text())["name"] == "gemm_n32_k8"
    assert add(ended, *flags)[0] == 0
    mapping = json.loads(Path("model_analysis_bee/module_mapping.json").read_text())
    assert "gemm_n32_k8" in mapping["existing"]


def test_without_sglang_the_tree_is_a_guess(ended: Any) -> None:
    whole = {"num_attention_heads": 2, "num_hidden_layers": 2, "intermediate_size": 16}
    path = Path("bee/config.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), **whole}))
    code, envelope = add(ended, "--skip-sglang", "true")
    assert (code, envelope["status"]) == (0, "partial")
    assert any(it.startswith("the tree is guess") for it in envelope["warnings"])
    assert not any("kernel_calls" in it["path"] for it in envelope["outputs"])


def test_a_keyword_lists_architectures(ended: Any) -> None:
    code, envelope = ended(find_sglang_baseline.SKILL, "--model-name", "causal-lm")
    assert code == 0 and envelope["status"] == "partial"
    found = json.loads(Path("model_analysis/sglang_implementation.json").read_text())
    assert found["evaluated"] is False and found["matches"]
    assert all(it["place"].startswith("sglang/srt/models/") for it in found["matches"])


def test_an_evaluated_baseline(ended: Any) -> None:
    code, _ = ended(find_sglang_baseline.SKILL, "--model-name", "bee/config.json")
    found = json.loads(Path("model_analysis/sglang_implementation.json").read_text())
    assert code == 0 and found["evaluated"] is True


def test_a_name_that_sglang_lacks(ended: Any) -> None:
    code, envelope = ended(find_sglang_baseline.SKILL, "--model-name", "zzz")
    assert code == 3 and "no architecture like 'zzz'" in envelope["error"]


def test_a_file_that_changed_meanwhile_fails_the_check(
    ended: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flashinfer_bench.skills import writing

    def spoiled(path: Path, data: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data[:-2])

    monkeypatch.setattr(writing, "write_atomic", spoiled)
    code, envelope = extract(ended)
    assert code == 5 and "holds something else than was written" in envelope["error"]
