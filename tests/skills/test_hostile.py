"""Hostile input and bad luck: one line, its exit code, and nothing half-written."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

import pytest

from flashinfer_bench.data import files
from flashinfer_bench.skills import add_new_model, extract_hf, generate_model_definition
from flashinfer_bench.skills.execution import helper_main

TS = Path("models.ts")
MINE = 'export const models = [\n  { id: "mine", name: "Mine", modules: {} },\n];\n'


@pytest.fixture
def adding(sources: list[str], capsys: pytest.CaptureFixture[str]) -> Any:
    TS.write_text(MINE)

    def run(repository: str = "bee/config.json", *flags: str) -> tuple[int, str]:
        words = ["--model-name", "bee", "--hf-repo-id", repository, "--output", str(TS)]
        code = helper_main(add_new_model.SKILL, [*words, *flags, *sources])
        return code, json.loads(capsys.readouterr().out)["error"] or ""

    return run


def intact() -> bool:
    """Nothing of the run is left, and what was there is as it was."""
    return TS.read_text() == MINE and not list(Path().rglob(".*.tmp"))


@pytest.mark.parametrize(
    ("repository", "code"),
    [("../../etc/passwd", 3), ("a/../b", 3), ("a b/c", 3), ("/no/such/config.json", 3)],
)
def test_repositories_that_are_none(adding: Any, repository: str, code: int) -> None:
    found, error = adding(repository)
    assert found == code and error and "\n" not in error
    assert intact() and not Path("model_analysis_bee").exists()


@pytest.mark.parametrize("name", ["../bee", "a/b", "", ".hidden", "bee\n"])
def test_names_that_would_leave_the_folder(
    sources: list[str], capsys: pytest.CaptureFixture[str], name: str
) -> None:
    code = helper_main(add_new_model.SKILL, ["--model-name", name, *sources])
    assert code == 2 and "--model-name" in json.loads(capsys.readouterr().out)["error"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ('{"architectures": ["BeeForCausalLM"], "hidden_size": "big"', "not JSON"),
        ("[1, 2]", "holds a list"),
        ("[" * 100_000, "not JSON"),
        ("\x00\x01", "not JSON"),
        ('{"architectures": "BeeForCausalLM", "hidden_size": 8}', "`architectures`"),
        ('{"a": 1}', ""),
    ],
)
def test_configurations_that_are_none(adding: Any, content: str, told: str) -> None:
    Path("bee/config.json").write_text(content)
    code, error = adding()
    assert code in (3, 5) and told in error and "\n" not in error
    assert intact()


@pytest.mark.parametrize("value", ["eight", [8], None, -8, {"a": 1}, 2.5])
def test_sizes_that_are_none(adding: Any, value: Any) -> None:
    path = Path("bee/config.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), "hidden_size": value}))
    code, error = adding()
    assert code == 5 and error and "\n" not in error and "unexpected" not in error
    assert intact()


def test_ten_megabytes_of_configuration(adding: Any) -> None:
    path = Path("bee/config.json")
    config = json.loads(path.read_text())
    path.write_text(
        json.dumps({**config, "id2label": {str(it): "x" * 90 for it in range(100_000)}})
    )
    assert adding()[0] == 0 and 'id: "bee"' in TS.read_text()


def test_a_syntax_error_in_sglang(adding: Any, sources: list[str]) -> None:
    for file in Path(sources[1]).rglob("srt/models/*.py"):
        file.write_text("def broken(:\n")
    code, error = adding()
    assert code == 5 and "invalid syntax" in error and "srt/models/" in error
    assert "\n" not in error and intact()


def test_output_below_a_file(adding: Any) -> None:
    Path("taken").write_text("a file")
    code, error = adding("bee/config.json", "--output-dir", "taken/inside")
    assert code == 1 and "taken" in error and "half-written" in error
    assert intact()


def test_a_full_disk(adding: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(file: Any, data: bytes) -> None:
        file.write(data[:10])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files, "_write_all", fails)
    code, error = adding()
    assert code == 1 and "No space left on device" in error
    assert intact()


@pytest.mark.parametrize("after", [1, 5, 6, 7, 8, 9, 10, 11, 12])
def test_ctrl_c_in_the_middle(adding: Any, monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    written: list[int] = []
    write_all = files._write_all

    def interrupted(file: Any, data: bytes) -> None:
        written.append(len(data))
        if len(written) == after:  # facts for the cache are written too
            file.write(data[: len(data) // 2])
            raise KeyboardInterrupt
        write_all(file, data)

    monkeypatch.setattr(files, "_write_all", interrupted)
    code, error = adding()
    assert code == 130 and "interrupted" in error
    for file in Path("model_analysis_bee").rglob("*.json"):
        json.loads(file.read_text())  # whole
    assert intact()


def test_a_hand_written_entry_of_the_same_id_is_kept(adding: Any) -> None:
    by_hand = MINE.replace('"mine"', '"bee"')
    TS.write_text(by_hand)
    code, error = adding()
    assert code == 5 and "models.ts" in error and TS.read_text() == by_hand


@pytest.mark.parametrize(
    "text",
    ["", "nothing here\n", "export const models = [\n", "// model:bee begin\n", "\ufeff" + MINE],
)
def test_files_that_are_no_models_ts(adding: Any, text: str) -> None:
    TS.write_text(text)
    code, _ = adding()
    assert code in (0, 5)
    assert TS.read_text() == text if code else 'id: "bee"' in TS.read_text()


def test_models_ts_that_is_no_text(adding: Any) -> None:
    TS.write_bytes(b"\xff\xfe\x00")
    code, error = adding()
    assert code == 5 and "not UTF-8" in error and TS.read_bytes() == b"\xff\xfe\x00"


def test_flags_that_do_not_fit(sources: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    code = helper_main(
        extract_hf.SKILL, ["--model_id", "bee/config.json", "--tp", "none", *sources]
    )
    assert code == 2 and "--tp" in json.loads(capsys.readouterr().out)["error"]
    code = helper_main(generate_model_definition.SKILL, [*sources])
    assert code == 2 and "--config is needed" in json.loads(capsys.readouterr().out)["error"]
    with pytest.raises(SystemExit) as ended:
        helper_main(generate_model_definition.SKILL, ["--append", "perhaps"])
    assert ended.value.code == 2 and "true or false" in capsys.readouterr().err
