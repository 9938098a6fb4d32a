"""What `validate` reports beyond files that do not load."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from small_dataset import BLOB, DEFINITION, MODEL, SOLUTION, TRACES, WORKLOADS, base, write

from flashinfer_bench.cli import main
from flashinfer_bench.errors import ExitCode

Capture = pytest.CaptureFixture[str]


def validate(root: Path, capsys: Capture, *flags: str) -> tuple[int, list[str]]:
    """Exit code and the lines on stdout but the last, which holds the totals."""
    code = main(["validate", "--dataset", str(root), *flags])
    return code, capsys.readouterr().out.splitlines()[:-1]


def files_in(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def moved(source: str, target: str) -> dict[str, Any]:
    return {target if path == source else path: content for path, content in base().items()}


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (DEFINITION, "definitions/gemm_n8_k4.json"),
        (DEFINITION, "definitions/gemm/other.json"),
        (SOLUTION, "solutions/someone/gemm/gemm_n8_k4/base.json"),
        (WORKLOADS, "workloads/gemm/deep/gemm_n8_k4.jsonl"),
        (TRACES, "traces/someone/gemm/gemm_n8_k4.jsonl"),
        (MODEL, "models/other.json"),
    ],
)
def test_misplaced_files_are_errors(
    source: str, target: str, tmp_path: Path, capsys: Capture
) -> None:
    write(tmp_path, moved(source, target))
    code, lines = validate(tmp_path, capsys)
    assert code == ExitCode.INVALID
    assert lines == [
        f"error: {target}: lies in the wrong place or has the wrong name; move it to {source}"
        " [layout]"
    ]


def test_the_older_place_of_traces_is_right(tmp_path: Path, capsys: Capture) -> None:
    write(tmp_path, moved(TRACES, "traces/gemm/gemm_n8_k4.jsonl"))
    assert validate(tmp_path, capsys) == (ExitCode.OK, [])


def test_names_used_twice(tmp_path: Path, capsys: Capture) -> None:
    files = base()
    write(
        tmp_path,
        files
        | {
            "definitions/other/gemm_n8_k4.json": files[DEFINITION],
            "solutions/agent/gemm/gemm_n8_k4/base.json": files[SOLUTION],
        },
    )
    code, lines = validate(tmp_path, capsys)
    assert code == ExitCode.INVALID
    assert any("definition 'gemm_n8_k4' is also in" in line for line in lines)
    assert any("solution 'base' is also in" in line for line in lines)


def test_slips_and_leftovers_are_warnings(tmp_path: Path, capsys: Capture) -> None:
    files = base()
    files[DEFINITION]["constraint"] = []
    files[DEFINITION]["house_number"] = 7
    files[TRACES][0]["solution_digest"] = "0" * 64
    write(tmp_path, files | {"blob/workloads/gemm/gemm_n8_k4/old.safetensors": b"x"})
    code, lines = validate(tmp_path, capsys)
    assert code == ExitCode.OK
    assert sorted(line.partition(": ")[2] for line in lines) == [
        "blob/workloads/gemm/gemm_n8_k4/old.safetensors: no workload uses this file; remove it"
        " [blob]",
        f"{DEFINITION}: constraint: unknown key; is 'constraints' meant? [definition]",
        f"{TRACES}:1: solution 'base' has changed since this run; benchmark it again [trace]",
    ]
    assert {line.partition(": ")[0] for line in lines} == {"warning"}
    _, verbose = validate(tmp_path, capsys, "--verbose")
    assert f"info: {DEFINITION}: house_number: unknown key, kept as it is [definition]" in verbose


def test_what_a_definition_cannot_be_used_for(tmp_path: Path, capsys: Capture) -> None:
    files = base()
    files[DEFINITION]["axes"]["Z"] = {"type": "var"}
    files[DEFINITION]["outputs"]["C"]["dtype"] = "uint8"
    files[WORKLOADS][0]["workload"]["axes"]["Z"] = 3
    write(tmp_path, files)
    code, lines = validate(tmp_path, capsys)
    assert code == ExitCode.OK
    assert len(lines) == 2
    assert "variable axis 'Z' is in no input's shape" in lines[0]
    assert "the public tool rejects dtype uint8" in lines[1]


def test_repeated_json_keys(tmp_path: Path, capsys: Capture) -> None:
    write(tmp_path, base())
    path = tmp_path / DEFINITION
    path.write_text(path.read_text().replace("{", '{"op_type": "moe",', 1))
    _, lines = validate(tmp_path, capsys)
    assert lines == [
        f"warning: {DEFINITION}: key 'op_type' is given twice; the last one counts [definition]"
    ]


def test_an_interrupted_append_is_no_error(tmp_path: Path, capsys: Capture) -> None:
    write(tmp_path, base())
    with (tmp_path / TRACES).open("ab") as file:
        file.write(b'{"definition": "gemm_n8')
    code, lines = validate(tmp_path, capsys)
    assert code == ExitCode.OK
    assert [line.partition(": ")[0] for line in lines] == ["warning"]
    assert f"{TRACES}:2: cut short by an interrupted append" in lines[0]


def test_results_without_a_baseline(tmp_path: Path, capsys: Capture) -> None:
    files = moved(SOLUTION, "solutions/agent/gemm/gemm_n8_k4/base.json")
    files["solutions/agent/gemm/gemm_n8_k4/base.json"]["author"] = "agent"
    files["traces/agent/gemm/gemm_n8_k4.jsonl"] = files.pop(TRACES)
    write(tmp_path, files)
    code, lines = validate(tmp_path, capsys)
    assert code == ExitCode.OK
    assert lines == [
        "warning: gemm_n8_k4: no traces by author 'baseline', so these results are not ranked"
        " [baseline]"
    ]


def test_a_constraint_reads_values_from_the_blob(tmp_path: Path, capsys: Capture) -> None:
    files = base()
    files[DEFINITION]["constraints"] = ["A[-1][0].item() == 0"]
    write(tmp_path, files)
    assert validate(tmp_path, capsys) == (ExitCode.OK, [])
    content = bytearray(files[BLOB])
    content[-7] = 0x3C  # the float16 at [1, 0] is now 1.0
    (tmp_path / BLOB).write_bytes(content)
    code, lines = validate(tmp_path, capsys)
    assert code == ExitCode.INVALID
    assert lines[0].startswith(f"error: {WORKLOADS}:1: A[-1][0].item() == 0: 1.0 == 0")


def test_definitions_dumped_by_flashinfer(tmp_path: Path, capsys: Capture) -> None:
    files = base()
    dump = files[DEFINITION] | {
        "check": "def _check(): ...",
        "reference": "def _gemm_reference(A, B, scale):\n    return A @ B.T * scale\n",
    }
    write(tmp_path, files | {DEFINITION: dump})
    assert validate(tmp_path, capsys) == (ExitCode.OK, [])


def test_a_dump_without_a_reference(tmp_path: Path, capsys: Capture) -> None:
    files = base()
    del files[DEFINITION]["reference"]
    files[DEFINITION]["tags"] = ["fi_api:flashinfer.gemm.mm_fp4"]
    write(tmp_path, files)
    code, lines = validate(tmp_path, capsys)
    assert code == ExitCode.OK
    assert len(lines) == 1
    assert "there is no reference" in lines[0]


def test_only_the_chosen_definitions_and_checks(tmp_path: Path, capsys: Capture) -> None:
    files = base()
    other = json.loads(json.dumps(files[DEFINITION]).replace("n8", "n16"))
    other |= {"op_type": "moe", "constraints": ["stranger > 1"]}
    files[WORKLOADS][0]["workload"]["axes"] = {}
    write(tmp_path, files | {"definitions/moe/gemm_n16_k4.json": other})
    for flags, words in [
        (["--op-types", "moe"], ["stranger"]),
        (["--definitions", "gemm_n8_k4"], ["axes: M missing"]),
        (["--definitions", "gemm_n8_k4", "--op-types", "moe"], ["stranger", "axes: M missing"]),
        (["--checks", "definition"], ["stranger"]),
        (["--checks", "layout,blob,workload"], ["axes: M missing"]),
    ]:
        code, lines = validate(tmp_path, capsys, *flags)
        assert code == ExitCode.INVALID
        assert len(lines) == len(words), lines
        assert all(any(word in line for line in lines) for word in words)
    assert validate(tmp_path, capsys, "--checks", "layout") == (ExitCode.OK, [])


@pytest.mark.parametrize(
    ("flags", "code", "words"),
    [
        (["--checks", "speed"], ExitCode.USAGE, "speed"),
        (["--outputs", "pdf"], ExitCode.USAGE, "pdf"),
        (["--definitions", "gemm_n9_k9"], ExitCode.NOT_FOUND, "gemm_n9_k9"),
        (["--dataset", "elsewhere"], ExitCode.USAGE, "more than once"),
    ],
)
def test_wrong_words(
    flags: list[str], code: int, words: str, tmp_path: Path, capsys: Capture
) -> None:
    write(tmp_path, base())
    assert main(["validate", "--dataset", str(tmp_path), *flags]) == code
    output = capsys.readouterr()
    assert output.out == ""
    assert words in output.err
    assert len(output.err.splitlines()) == 1


def test_no_dataset(tmp_path: Path, capsys: Capture) -> None:
    missing = tmp_path / "nope"
    assert main(["validate", "--dataset", str(missing)]) == ExitCode.NOT_FOUND
    assert not missing.exists()
    assert str(missing) in capsys.readouterr().err
    (tmp_path / "notes.txt").write_text("not a dataset")
    assert main(["validate", "--dataset", str(tmp_path)]) == ExitCode.INVALID


def test_saved_reports_render_again(tmp_path: Path, capsys: Capture) -> None:
    root, reports = tmp_path / "dataset", tmp_path / "reports"
    write(root, base())
    (root / BLOB).unlink()
    before = files_in(root)
    flags = ["--outputs", "json,text", "--output-folder", str(reports)]
    assert main(["validate", "--dataset", str(root), *flags]) == ExitCode.INVALID
    assert capsys.readouterr().out == ""
    assert files_in(root) == before
    (saved,) = reports.glob("report-*.json")
    (text,) = reports.glob("report-*.txt")
    assert main(["validate-render", str(saved)]) == ExitCode.OK
    assert capsys.readouterr().out == text.read_text()
    assert BLOB in text.read_text()
    assert main(["validate-render", str(text)]) == ExitCode.INVALID
    assert main(["validate-render", str(tmp_path / "none.json")]) == ExitCode.NOT_FOUND
