"""Malformed files: one line with file and position, a documented exit code, never a traceback."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small_dataset import (
    BLOB,
    DEFINITION,
    MODEL,
    SOLUTION,
    TRACES,
    WORKLOADS,
    base,
    encode,
    safetensors,
    write,
)

from flashinfer_bench.cli import main
from flashinfer_bench.errors import ExitCode


def setting(*place: Any, to: Any) -> Callable[[Any], Any]:
    """A change that sets the value at a place of a record (of the first line's record)."""

    def change(content: Any) -> Any:
        *parents, last = place
        target = content[0] if isinstance(content, list) else content
        for key in parents:
            target = target[key]
        target[last] = to
        return content

    return change


def without(*place: Any) -> Callable[[Any], Any]:
    def change(content: Any) -> Any:
        *parents, last = place
        target = content[0] if isinstance(content, list) else content
        for key in parents:
            target = target[key]
        del target[last]
        return content

    return change


def bytes_of(change: Callable[[bytes], bytes]) -> Callable[[Any], Any]:
    return lambda content: change(encode(content))


def second_line(line: bytes) -> Callable[[Any], Any]:
    return lambda content: encode(content) + line + b"\n"


def too_long(content: Any) -> Any:
    """M = 65, with an input that the blob does not contradict."""
    content[0]["workload"]["axes"]["M"] = 65
    content[0]["workload"]["inputs"]["A"] = {"type": "random"}
    return content


IN_A = ("workload", "inputs", "A")
CASES: list[tuple[str, str, Callable[[Any], Any] | None, int | str | None, str]] = [
    # name, file, change, line (or words on it), words of the message
    ("empty file", DEFINITION, lambda _: b"", 1, "not JSON"),
    ("cut short", DEFINITION, bytes_of(lambda text: text[:20]), 2, "not JSON"),
    ("no object", DEFINITION, lambda _: b"[1, 2]", 1, "object"),
    ("not utf-8", DEFINITION, lambda _: b'{"name": "\xff\xfe"}', 1, "not JSON"),
    ("a comment", DEFINITION, bytes_of(lambda text: b"// hi\n" + text), 1, "not JSON"),
    ("no name", DEFINITION, without("name"), 1, "name: missing"),
    ("empty name", DEFINITION, setting("name", to=""), '"name"', "name"),
    ("name is a path", DEFINITION, setting("name", to="../evil"), "../evil", "cannot name a file"),
    ("axis type", DEFINITION, setting("axes", "M", to={"type": "expr"}), '"M": {', "'expr'"),
    ("negative axis", DEFINITION, setting("axes", "N", "value", to=-1), "-1", "axes.N.value"),
    ("axis a word", DEFINITION, setting("axes", "N", "value", to="x"), '"x"', "axes.N.value"),
    ("no shape", DEFINITION, without("inputs", "A", "shape"), '"A"', "inputs.A.shape: missing"),
    ("dtype", DEFINITION, setting("inputs", "A", "dtype", to="fp16"), '"fp16"', "'fp16'"),
    ("undeclared axis", DEFINITION, setting("inputs", "B", "shape", to=["Q"]), '"inputs"', "'Q'"),
    (
        "shared name",
        DEFINITION,
        setting("outputs", "A", to={"shape": [], "dtype": "bool"}),
        '"outputs"',
        "both an input and an output",
    ),
    ("no Python", DEFINITION, setting("reference", to="def run(:\n"), '"reference"', "line 1"),
    ("no run", DEFINITION, setting("reference", to="x = 1"), '"reference"', "'run'"),
    ("async", DEFINITION, setting("reference", to="async def run(): ..."), '"reference"', "'run'"),
    (
        "few arguments",
        DEFINITION,
        setting("reference", to="def run(A): return A"),
        '"reference"',
        "3 inputs",
    ),
    (
        "half a constraint",
        DEFINITION,
        setting("constraints", 0, to="M <="),
        '"constraints"',
        "M <=",
    ),
    (
        "constraint calls",
        DEFINITION,
        setting("constraints", 0, to="exit()"),
        '"constraints"',
        "exit",
    ),
    ("constraint of Z", DEFINITION, setting("constraints", 0, to="Z > 1"), '"constraints"', "'Z'"),
    ("solution of nobody", SOLUTION, setting("definition", to="other"), None, "'other'"),
    ("language", SOLUTION, setting("spec", "language", to="rust"), "rust", "spec.language"),
    (
        "no hardware",
        SOLUTION,
        setting("spec", "target_hardware", to=[]),
        "hardware",
        "at least one",
    ),
    ("no symbol", SOLUTION, setting("spec", "entry_point", to="main.py"), "entry_point", "file::"),
    ("entry no source", SOLUTION, setting("spec", "entry_point", to="a.py::run"), 1, "a.py::run"),
    ("entry absent", SOLUTION, setting("spec", "entry_point", to="main.py::go"), None, "'go'"),
    ("source leaves", SOLUTION, setting("sources", 0, "path", to="../main.py"), "../", "leaves"),
    ("source no Python", SOLUTION, setting("sources", 0, "content", to="def ("), None, "main.py"),
    ("no sources", SOLUTION, setting("sources", to=[]), '"sources"', "source"),
    ("line cut short", WORKLOADS, second_line(b'{"definition": "gemm'), 2, "not JSON"),
    ("a number", WORKLOADS, second_line(b"17"), 2, "object"),
    ("no uuid", WORKLOADS, without("workload", "uuid"), 1, "workload.uuid: missing"),
    ("axis missing", WORKLOADS, setting("workload", "axes", to={}), 1, "M missing"),
    ("axis extra", WORKLOADS, setting("workload", "axes", "Z", to=1), 1, "Z"),
    ("axis negative", WORKLOADS, setting("workload", "axes", "M", to=-2), 1, "axes.M"),
    ("input missing", WORKLOADS, without("workload", "inputs", "B"), 1, "B missing"),
    ("input type", WORKLOADS, setting(*IN_A, "type", to="custom"), 1, "'custom'"),
    (
        "scalar null",
        WORKLOADS,
        setting("workload", "inputs", "scale", "value", to=None),
        1,
        "value",
    ),
    ("scalar for a tensor", WORKLOADS, setting(*IN_A, to={"type": "scalar", "value": 1}), 1, "'A'"),
    ("constraint broken", WORKLOADS, too_long, 1, "65 <= 64"),
    ("definition unknown", WORKLOADS, setting("definition", to="other"), None, "'other'"),
    ("uuid twice", WORKLOADS, lambda content: content * 2, 2, "used twice"),
    ("blob outside", WORKLOADS, setting(*IN_A, "path", to="../secret"), 1, "leaves"),
    ("blob without key", WORKLOADS, setting(*IN_A, "tensor_key", to="Q"), 1, "'Q'"),
    ("blob missing", BLOB, None, None, f"missing; {WORKLOADS}:1"),
    ("blob empty", BLOB, lambda _: b"", None, "not a safetensors file"),
    ("blob header cut", BLOB, bytes_of(lambda data: data[:20]), None, "cut short"),
    ("blob header no JSON", BLOB, lambda _: safetensors(b"nonsense"), None, "no JSON"),
    ("blob data cut", BLOB, bytes_of(lambda data: data[:-3]), None, "do not fit"),
    ("blob huge header", BLOB, lambda _: b"\xff" * 64, None, "cut short"),
    ("blob dtype", BLOB, bytes_of(lambda b: b.replace(b"F16", b"I16")), WORKLOADS, "int16"),
    ("blob shape", BLOB, bytes_of(lambda b: b.replace(b"2,4", b"4,2")), WORKLOADS, "[4, 2]"),
    ("status", TRACES, setting("evaluation", "status", to="OK"), 1, "status"),
    ("passed, not measured", TRACES, without("evaluation", "performance"), 1, "performance"),
    ("timeout with errors", TRACES, setting("evaluation", "status", to="TIMEOUT"), 1, "must not"),
    ("no solution", TRACES, setting("solution", to=None), 1, "workloads/"),
    ("solution unknown", TRACES, setting("solution", to="who"), None, "'who'"),
    ("no hardware named", TRACES, setting("evaluation", "environment", to={}), 1, "hardware"),
    (
        "negative",
        TRACES,
        setting("evaluation", "performance", "latency_ms", to=-1),
        1,
        "latency_ms",
    ),
    ("no tree", MODEL, setting("modules", "proj", "parent", to="x"), 1, "'x'"),
    ("a cycle", MODEL, setting("modules", "proj", "parent", to="proj"), 1, "ancestor"),
    ("count zero", MODEL, setting("modules", "proj", "count", to=0), '"count"', "count"),
]
NAMES = [case[0] for case in CASES]


def make_broken(root: Path, file: str, change: Callable[[Any], Any] | None) -> None:
    files = base()
    if change is None:
        del files[file]
    else:
        files[file] = change(files[file])
    write(root, files)


def test_the_base_dataset_is_right(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, base())
    assert main(["validate", "--dataset", str(tmp_path)]) == ExitCode.OK
    assert " 0 errors, 0 warnings, 0 infos" in capsys.readouterr().out


@pytest.mark.parametrize(("name", "file", "change", "line", "words"), CASES, ids=NAMES)
def test_validate_says_it_in_one_line(
    name: str,
    file: str,
    change: Callable[[Any], Any] | None,
    line: int | str | None,
    words: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    make_broken(tmp_path, file, change)
    if line == WORKLOADS:
        file, line = WORKLOADS, 1
    elif isinstance(line, str):
        lines = (tmp_path / file).read_text().splitlines()
        line = 1 + next(i for i, text in enumerate(lines) if str(line) in text)

    assert main(["validate", "--dataset", str(tmp_path)]) == ExitCode.INVALID
    output = capsys.readouterr()
    assert not output.err
    place = file if line is None else f"{file}:{line}"
    start = f"error: {place}: "
    matching = [text for text in output.out.splitlines() if text.startswith(start)]
    assert any(words in text for text in matching), output.out


@pytest.mark.parametrize("command", ["list", "report summary", "report best"])
@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_other_commands_use_the_rest(
    case: tuple[Any, ...], command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_broken(tmp_path, case[1], case[2])

    code = main([*command.split(), "--local", str(tmp_path)])
    output = capsys.readouterr()
    assert code in (ExitCode.OK, ExitCode.INVALID), output.err
    assert "Traceback" not in output.err
    assert (code == ExitCode.INVALID) == bool(output.err)
    assert all(str(tmp_path) in line for line in output.err.splitlines())
