"""`find-sglang-baseline`: where SGLang implements a model, and the kernels that it reaches."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import Field

from flashinfer_bench.errors import NotFoundError
from flashinfer_bench.models.as_json import implementation_as_json, kernel_calls_as_json
from flashinfer_bench.models.extraction import ExtractedModel, calls_of, snippets_of
from flashinfer_bench.models.hub import load_json
from flashinfer_bench.models.known import find_known
from flashinfer_bench.models.sglang.index import Architecture, read_architectures
from flashinfer_bench.models.sglang.kernels import KernelCall
from flashinfer_bench.models.sglang.snippets import Snippet, class_outlines
from flashinfer_bench.models.sglang.source import SglangSource
from flashinfer_bench.skills.checking import place_problem
from flashinfer_bench.skills.contract import Result, Skill, shown
from flashinfer_bench.skills.execution import helper_main
from flashinfer_bench.skills.sources import SourceParams, extracted, source_of
from flashinfer_bench.skills.writing import Writer, unwritten

IMPLEMENTATION, CALLS, SNIPPETS = "sglang_implementation.json", "kernel_calls.json", "code_snippets"
_SHOWN = 12


class BaselineParams(SourceParams):
    """Where SGLang implements a model: classes, kernels and code, each with file and line."""

    model_name: str = Field(
        description="model such as kimi-k2 or Qwen/Qwen3-8B, or a keyword of class names such as "
        "kimi"
    )
    output_dir: str = Field("./model_analysis", description="folder of all files")
    dry_run: bool = Field(False, description="write nothing")


@dataclass(frozen=True)
class Baseline:
    """What SGLang has for a name."""

    source: SglangSource
    matches: list[Architecture]
    """Architectures whose name or file fits, the model's own first."""
    model: ExtractedModel | None
    """None where the name is a keyword of no single known model."""


def run(params: BaselineParams) -> Result:
    """Writes sglang_implementation.json, kernel_calls.json and code_snippets/."""
    baseline, writer = find_baseline(params), Writer(params.dry_run)
    if baseline.model is not None:
        write_implementation(writer, baseline.model, Path(params.output_dir), baseline.matches)
        told = f"evaluated as {baseline.model.hub.model_id}"
        notes, warnings = list(baseline.model.notes), []
    else:
        told = f"{params.model_name!r} is no single known model: structure only, nothing evaluated"
        _write_structure(writer, baseline, params, told)
        notes, warnings = [], [told]
    lines = [f"{it.name}  {_place(it)}" for it in baseline.matches[:_SHOWN]]
    more = len(baseline.matches) - _SHOWN
    lines += [f"and {more} more in {IMPLEMENTATION}"] if more > 0 else []
    summary = "\n".join([f"SGLang {baseline.source.version or ''}: {told}", *lines])
    return Result(writer.outputs, warnings, notes, [], summary)


def find_baseline(params: BaselineParams) -> Baseline:
    """Raises NotFoundError, with names that are alike, where SGLang has nothing of that name."""
    source, name = source_of(params), params.model_name
    known = read_architectures(source)
    model = None
    if find_known(name) is not None or "/" in name or Path(name).suffix == ".json":
        model = extracted(params, name)
    matches = matching(known.values(), name)
    if model is not None:
        own = [it for it in known.values() if it.name == model.tree.architecture.name]
        matches = [*own, *(it for it in matches if it not in own)]
    if not matches and model is None:
        close = get_close_matches(name, [*known, *map(_stem, known.values())], n=3, cutoff=0.5)
        hint = f"; alike are {', '.join(dict.fromkeys(close))}" if close else ""
        raise NotFoundError(
            f"SGLang {source.version or ''} has no architecture like {name!r}{hint}; "
            "give a repository id, or add the model with --skip-sglang true"
        )
    return Baseline(source, matches, model)


def matching(architectures: Any, keyword: str) -> list[Architecture]:
    """Those whose class or file has the keyword in its name, whatever its hyphens and case."""
    wanted = _plain(keyword.rpartition("/")[2])
    return [it for it in architectures if wanted in _plain(it.name) or wanted in _plain(_stem(it))]


def write_implementation(
    writer: Writer, model: ExtractedModel, folder: Path, matches: list[Architecture]
) -> list[KernelCall]:
    """Of an evaluated model: classes, kernel calls, which it gives, and the modules' code."""
    calls = calls_of(model)
    found = implementation_as_json(model, calls)
    found["evaluated"] = True
    found["matches"] = [_match(it) for it in matches]
    found["snippets"] = _write_snippets(writer, folder, snippets_of(model))
    writer.json(folder / IMPLEMENTATION, found, "SGLang implementation")
    writer.json(folder / CALLS, kernel_calls_as_json(calls), "kernel calls")
    return calls


def _write_snippets(writer: Writer, folder: Path, snippets: list[Snippet]) -> list[dict[str, Any]]:
    rows = []
    for it in snippets:
        path = folder / SNIPPETS / f"{it.class_name}.{it.function}.py"
        writer.text(path, f"# {it.place}-{it.last_line}\n{it.code}\n", "code snippet")
        row = {"class": it.class_name, "function": it.function, "place": str(it.place)}
        rows.append({**row, "last_line": it.last_line, "file": shown(path)})
    return rows


def _write_structure(writer: Writer, baseline: Baseline, params: BaselineParams, why: str) -> None:
    files = dict.fromkeys(it.file for it in baseline.matches)
    classes = {
        file: [
            {"class": it.name, "place": str(it.place), "bases": it.bases, "functions": it.functions}
            for it in class_outlines(baseline.source, file)
        ]
        for file in files
    }
    found = {
        **{"model_name": params.model_name, "sglang": baseline.source.version},
        **{"evaluated": False, "reason": why, "matches": [_match(it) for it in baseline.matches]},
        **{"files": classes},
    }
    writer.json(Path(params.output_dir) / IMPLEMENTATION, found, "SGLang implementation")
    writer.json(Path(params.output_dir) / CALLS, [], "kernel calls")


def _match(it: Architecture) -> dict[str, str]:
    return {"architecture": it.name, "place": _place(it), "entry": f"sglang/{it.entry}"}


def _place(it: Architecture) -> str:
    return f"sglang/{it.file}:{it.line}"


def _stem(it: Architecture) -> str:
    return Path(it.entry).stem


def _plain(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())


def verify(params: BaselineParams, result: Result) -> list[str]:
    """Files hold what was written, and every place is a line of SGLang with that text."""
    if params.dry_run:
        return []
    source = source_of(params)
    folder = Path(params.output_dir)
    return unwritten(result.outputs) or place_problems(folder, source.package.parent)


def place_problems(folder: Path, root: Path) -> list[str]:
    """Of the implementation and the kernel calls in a folder, one line each."""
    found = load_json(folder / IMPLEMENTATION)
    places = {it["place"]: it["snippet"] for it in found.get("calls") or ()}
    places |= {it["place"]: f"class {it['architecture']}" for it in found.get("matches") or ()}
    problems = (place_problem(place, text, root) for place, text in places.items())
    return [it for it in problems if it is not None]


SKILL = Skill("find-sglang-baseline", BaselineParams, run, verify)

__all__ = ["SKILL", "BaselineParams", "run", "verify", "write_implementation"]

if __name__ == "__main__":
    sys.exit(helper_main(SKILL))
