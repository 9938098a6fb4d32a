"""The web pages' models: their types against ours, by tsc, and evaluated by Node."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pytest
from pydantic import BaseModel

from flashinfer_bench.data.json_utils import json_ready
from flashinfer_bench.data.model import Layout, Model, Module, Origin
from flashinfer_bench.models.typescript import new_file, read_models, tree_problems, upsert

WEB = Path(__file__).parents[2] / "web/apps/web"
MODELS = WEB / "data/models.ts"
NODE = shutil.which("node")
SAMPLE = Path(__file__).parents[1] / "data/sample_dataset/models/sample-llm.json"
NAMES = {str: "string", int: "number", float: "number"}

needs_node = pytest.mark.skipif(NODE is None, reason="needs Node")


def type_name(annotation: Any) -> str:
    """The TypeScript type of a field of ours."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return type_name(arguments[0])
    if origin in (Union, UnionType):
        return " | ".join(type_name(it) for it in arguments if it is not type(None))
    if origin is Literal:
        return " | ".join(json.dumps(it) for it in arguments)
    if origin is list:
        return f"{type_name(arguments[0])}[]"
    if origin is dict:
        return f"Record<{', '.join(map(type_name, arguments))}>"
    return NAMES.get(annotation) or str(annotation.__name__)


@pytest.mark.parametrize("record", [Layout, Origin, Module, Model])
def test_types_agree_with_ours(record: type[BaseModel]) -> None:
    text = (WEB / "data/types.ts").read_text()
    body = re.search(rf"^export interface {record.__name__} {{$(.*?)^}}$", text, re.M | re.S)
    assert body
    stated = re.findall(r"^  (\w+)(\??): (.+);$", body[1], re.M)
    assert stated == [
        (name, "" if field.is_required() else "?", type_name(field.annotation))
        for name, field in record.model_fields.items()
    ]


def test_models_are_valid() -> None:
    for entry in read_models(MODELS.read_text()):
        assert entry.value is not None, f"models.ts:{entry.line}: {entry.reason}"
        assert tree_problems(Model.model_validate(entry.value)) == []


@pytest.fixture
def tsc() -> list[str]:
    for folder in (WEB, *WEB.parents[:2]):
        if NODE and (found := folder / "node_modules/typescript/bin/tsc").is_file():
            return [NODE, str(found)]
    pytest.skip("needs Node and TypeScript: npm install in web first")


def check(tsc: list[str], folder: Path, models: str) -> subprocess.CompletedProcess[str]:
    (folder / "data").mkdir()
    shutil.copy(WEB / "tsconfig.json", folder)
    shutil.copy(WEB / "data/types.ts", folder / "data")
    (folder / "data/models.ts").write_text(models)
    return subprocess.run([*tsc, "--noEmit"], cwd=folder, capture_output=True, text=True)


def sample() -> Model:
    return Model.model_validate_json(SAMPLE.read_text())


def test_repository_type_checks(tsc: list[str], tmp_path: Path) -> None:
    done = check(tsc, tmp_path, MODELS.read_text())
    assert done.returncode == 0, done.stdout


def test_written_file_type_checks(tsc: list[str], tmp_path: Path) -> None:
    done = check(tsc, tmp_path, upsert(new_file(), sample()))
    assert done.returncode == 0, done.stdout


def test_wrong_type_is_found(tsc: list[str], tmp_path: Path) -> None:
    text = upsert(new_file(), sample()).replace("count: 48", 'count: "48"')
    done = check(tsc, tmp_path, text)
    assert done.returncode != 0
    assert "data/models.ts" in done.stdout and "TS2322" in done.stdout


@needs_node
def test_node_reads_the_same(tmp_path: Path) -> None:
    odd = {"id": "odd", "name": "\u2028`${1}*/\"'\\\r\n😀", "flops_per_token": 1e300}
    extra = {"more": {"a-b": [1.5, None, {}], "__proto__": {"x": 1}}, "far": 2**40}
    module = {"count": 2, "type": "layer"}
    models = [sample(), Model.model_validate({**odd, "modules": {"__proto__": module}, **extra})]
    text = new_file()
    for model in models:
        text = upsert(text, model)
    text = re.sub("^import type.*$", "", text, flags=re.M).replace(" satisfies Model[]", "")
    script = tmp_path / "models.mjs"
    script.write_text(f"{text}\nconsole.log(JSON.stringify(models));\n")
    done = subprocess.run([str(NODE), str(script)], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [json_ready(model) for model in models]
