"""Configurations made by evaluating classes of (small) transformers and SGLang packages."""

from __future__ import annotations

import copy
import json
import os
import time
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from flashinfer_bench.errors import AccessError, DataError, NotFoundError
from flashinfer_bench.models.evaluator.evaluator import Evaluator
from flashinfer_bench.models.evaluator.modules import Finder
from flashinfer_bench.models.evaluator.standard_library import Shell
from flashinfer_bench.models.sglang.config_classes import build_config, transformers_modules
from flashinfer_bench.models.sglang.dtypes import DTYPES
from flashinfer_bench.models.sglang.source import SglangSource, find_sglang
from flashinfer_bench.models.sglang.transformers_source import find_transformers
from tests.models.config_sources import V4, V5, write_package
from tests.models.config_sources_sglang import SGLANG
from tests.ops.corpus import CORPUS


class Boundary:
    """Stand-ins alone."""

    def __init__(self, stand_ins: Mapping[str, Any]) -> None:
        self.stand_ins = stand_ins

    def module(self, name: str) -> Any:
        return self.stand_ins.get(name)

    def value(self, module: str, name: str) -> Any:
        return NotImplemented

    def make_class(self, *args: Any) -> None:
        return None


def make_evaluator(sglang: Path, transformers: Path | None) -> Evaluator:
    torch = Shell("torch", **DTYPES)
    packages = {"sglang": sglang, **({"transformers": transformers} if transformers else {})}
    boundary = Boundary({"torch": torch, **transformers_modules(transformers)})
    return Evaluator(Finder(packages), boundary)


Build = Callable[..., Any]


@pytest.fixture(params=["4", "5"])
def build(request: pytest.FixtureRequest, tmp_path: Path) -> Build:
    """Builds with a transformers in the style of 4.x, and of 5.x."""
    return builder(tmp_path, {"4": V4, "5": V5}[request.param])


def builder(tmp_path: Path, transformers: Mapping[str, str] | None) -> Build:
    package = write_package(tmp_path, "transformers", transformers) if transformers else None
    evaluator = make_evaluator(write_package(tmp_path, "sglang", SGLANG), package)

    def run(notes: list[str] | None = None, **raw: Any) -> Any:
        return build_config(raw, evaluator, notes if notes is not None else [])

    return run


def test_defaults_aliases_and_computed_lists_come_from_the_class(build: Build) -> None:
    config = build(
        model_type="ant_text", num_experts=16, num_hidden_layers=4, torch_dtype="bfloat16"
    )
    assert type(config).__name__ == "AntTextConfig"
    assert (config.num_local_experts, config.num_experts) == (16, 16)
    config.num_experts = 4
    assert config.num_local_experts == 4
    assert "num_experts" not in config.__dict__
    assert config.layer_types == ["sliding", "full"] * 2
    assert config.dtype is DTYPES["bfloat16"]
    assert config.is_encoder_decoder is False
    assert config.architectures is None
    assert not hasattr(config, "head_dim"), "ModelConfig needs an architecture"


def test_nested_text_configurations_are_copied_up(build: Build) -> None:
    raw = {"model_type": "ant", "text_config": {"hidden_size": 128}, "architectures": ["Ant"]}
    before = copy.deepcopy(raw)
    config = build(**raw)
    assert raw == before
    assert type(config.text_config).__name__ == "AntTextConfig"
    assert (config.hidden_size, config.num_hidden_layers) == (128, 2)
    assert (config.image_token_id, config.model_type) == (7, "ant")
    assert config.text_config.head_dim == 32
    assert (config.context_len, config.language_model_only) == (2048, False)
    assert config.to_dict()["image_token_id"] == 7


def test_a_sub_configuration_that_is_absent_gets_its_defaults(build: Build) -> None:
    assert build(model_type="ant").text_config.num_local_experts == 8


def test_sglangs_own_classes_and_their_properties(build: Build) -> None:
    config = build(model_type="cat", num_hidden_layers=3, architectures=["Cat"], extra=[1])
    assert config.kinds == ["linear", "full", "linear"]
    assert (config.head_dim, config.extra, config._name_or_path) == (8, [1], "config")


def test_aliases_and_classes_that_sglang_registers(build: Build) -> None:
    wasp = build(model_type="wasp", hidden_size=48)
    assert (wasp.stings, wasp.hidden_size, wasp.num_attention_heads) == (True, 48, 2)
    assert build(model_type="bee").wings == 4, "replaces transformers' class"
    assert type(build(model_type="emu")).__name__ == "EmuConfig"
    assert type(build(model_type="old-bee")).__name__ == "BeeConfig"


def test_unknown_types_keep_raw_values(build: Build) -> None:
    notes: list[str] = []
    config = build(notes, model_type="dodo", hidden_size=8, architectures=["Dodo"])
    assert (config.hidden_size, config.model_type, config.is_encoder_decoder) == (8, "dodo", False)
    assert notes[0].startswith("model type dodo: no class in SGLang or transformers")
    assert "num_attention_heads" in notes[1], "what ModelConfig could not do is said"
    notes.clear()
    assert build(notes, hidden_size=9).hidden_size == 9
    assert notes == [
        "no model_type in the configuration: raw values with the defaults of all models"
    ]
    assert build(model_type="cat").interval == 2, "no trace of the ones before"


def test_rotary_parameters_of_5(tmp_path: Path) -> None:
    build = builder(tmp_path, V5)
    assert build(model_type="bee", rope_theta=5e5).rope_parameters == {
        "rope_theta": 5e5,
        "rope_type": "default",
    }
    scaled = build(model_type="bee", rope_scaling={"type": "yarn", "factor": 4.0})
    assert scaled.rope_scaling == {
        **{"type": "yarn", "factor": 4.0, "rope_theta": 1e4, "rope_type": "yarn"}
    }
    assert not hasattr(scaled, "rope_theta")
    layers = build(
        model_type="ant_text",
        rope_parameters={"full": {"rope_theta": 1e6}, "sliding": {"rope_type": "linear"}},
    )
    assert layers.rope_parameters == {
        "full": {"rope_theta": 1e6, "rope_type": "default"},
        "sliding": {"rope_theta": 1e4, "rope_type": "linear"},
    }


def test_rotary_parameters_of_4_stay_as_they_are(tmp_path: Path) -> None:
    config = builder(tmp_path, V4)(model_type="bee", rope_theta=5e5)
    assert config.rope_theta == 5e5
    assert not hasattr(config, "rope_parameters")
    assert config.tie_word_embeddings is True


def test_what_a_class_rejects_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="must be equal to the number"):
        builder(tmp_path, V5)(model_type="ant_text", num_hidden_layers=3, layer_types=["full"])


def test_without_transformers_raw_values_and_sglangs_classes_remain(tmp_path: Path) -> None:
    build = builder(tmp_path, None)
    notes: list[str] = []
    config = build(
        notes, model_type="bee", hidden_size=8, num_attention_heads=2, architectures=["B"]
    )
    assert (config.hidden_size, config.head_dim, config.tie_word_embeddings) == (8, 4, False)
    assert notes[0].startswith("transformers' source is not there")
    assert build(model_type="cat").kinds == ["linear", "full"] * 2
    nested = build(model_type="new", text_config={"hidden_size": 6}, architectures=["N"])
    assert nested.text_config.hidden_size == 6


def test_a_second_process_finds_the_classes_in_the_cache(tmp_path: Path) -> None:
    builder(tmp_path, V5)(model_type="cat")
    again = builder(tmp_path, V5)
    assert again(model_type="wasp").stings is True
    assert again(model_type="bee").wings == 4
    assert again(model_type="emu").model_type == "emu"


def test_transformers_is_found_by_path_and_pin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = write_package(tmp_path / "src", "transformers", V5)
    found = find_transformers(tmp_path)
    assert found is not None
    assert (found.package, found.version, found.note) == (package, None, None)
    sglang = write_package(tmp_path, "sglang", SGLANG)
    info = tmp_path / "sglang-0.9.9.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Requires-Dist: torch\nRequires-Dist: transformers==5.0.1\n")
    wheel = tmp_path / "links" / "transformers-5.0.1-py3-none-any.whl"
    write_wheel(wheel, "transformers", V5)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    source = SglangSource(sglang, "0.9.9", "test")
    found = find_transformers(sglang=source)
    assert found is not None
    assert (found.version, found.pinned, found.note) == ("5.0.1", "5.0.1", None)
    (info / "METADATA").write_text("Requires-Dist: transformers==5.0.2\n")
    other = find_transformers(sglang=source)
    assert other is not None
    assert other.note is not None
    assert other.note.endswith("instead of SGLang's 5.0.2")


def write_wheel(wheel: Path, name: str, files: Mapping[str, str]) -> None:
    wheel.parent.mkdir(exist_ok=True)
    version = wheel.name.split("-")[1]
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        for file, text in files.items():
            archive.writestr(f"{name}/{file}", text)
        archive.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        )
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")


def test_other_paths_are_refused_and_nothing_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(NotFoundError, match="no transformers here"):
        find_transformers(tmp_path)
    broken = tmp_path / "transformers-1.0-py3-none-any.whl"
    broken.write_text("no zip")
    with pytest.raises(DataError, match="not a wheel"):
        find_transformers(broken)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("FIB_CACHE_PATH", str(tmp_path / "cache"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr("flashinfer_bench.models.sglang.packages.find_spec", lambda name: None)
    assert find_transformers() is None


def sources() -> tuple[Path, Path]:
    """SGLang and the transformers it pins, as the environment names them, else downloaded."""
    path = os.environ.get("FIB_SGLANG_PATH")
    try:
        sglang = find_sglang(path) if path else find_sglang(version="0.5.23")
    except AccessError as error:
        pytest.skip(str(error))
    transformers = find_transformers(os.environ.get("FIB_TRANSFORMERS_PATH"), sglang=sglang)
    if transformers is None:
        pytest.skip("no transformers; FIB_TRANSFORMERS_PATH may name its folder")
    return sglang.package, transformers.package


@pytest.mark.slow
def test_configurations_of_the_corpus() -> None:
    files = sorted((CORPUS / "hf_configs").glob("*.json"))
    if not files:
        pytest.skip(f"no configurations in {CORPUS}; FIB_CORPUS may name the folder of the corpus")
    evaluator = make_evaluator(*sources())
    for file in files[:40]:
        raw = json.loads(file.read_text())
        before = copy.deepcopy(raw)
        config = build_config(raw, evaluator, [])
        assert raw == before
        assert getattr(config, "text_config", config).hidden_size, file.name
    start = time.process_time()
    build_config(raw, evaluator, [])
    assert time.process_time() - start < 0.05
