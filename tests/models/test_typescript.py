from __future__ import annotations

import random
import time
from typing import Any

import pytest

from flashinfer_bench.data.json_utils import json_ready
from flashinfer_bench.data.model import Model
from flashinfer_bench.errors import DataError
from flashinfer_bench.models.typescript import (
    new_file,
    read_models,
    render_entry,
    tree_problems,
    unified_diff,
    upsert,
    without,
)

PIECES = ["a", '"', "'", "`", "${x}", "\\", "\n", "\r\n", "\u2028", "\u202e", "*/", "//", "é", "😀"]
PIECES += ["\x00", "\ufeff", "// model:x begin\n", "]", "}", " ", "down_proj", "\x7f"]


def random_text(rng: random.Random) -> str:
    return "x" + "".join(rng.choices(PIECES, k=rng.randrange(8)))


def random_model(rng: random.Random, name: str = "m") -> Model:
    keys = list(dict.fromkeys([random_text(rng) for _ in range(5)] + ["__proto__", "1", "a.b"]))
    modules: dict[str, Any] = {}
    for key in keys:
        modules[key] = {"count": rng.randrange(1, 2**60), "type": rng.choice(["block", "layer"])}
        if rng.random() < 0.5:
            modules[key]["definitions"] = [random_text(rng) for _ in range(rng.randrange(4))]
        if rng.random() < 0.5:
            modules[key]["more"] = {random_text(rng): [1, -2.5, None, True, {}, []]}
    flops = rng.choice([0.5, 3.0, 1e300, 1e-300, 1e21, 123456789012.0])
    found = {"id": name, "name": random_text(rng), "flops_per_token": flops, "modules": modules}
    return Model.model_validate(found)


def simple(name: str = "a") -> Model:
    return Model.model_validate(
        {"id": name, "name": "A", "modules": {"l": {"count": 1, "type": "layer"}}}
    )


@pytest.mark.parametrize("seed", range(40))
def test_what_is_written_is_read(seed: int) -> None:
    rng = random.Random(seed)
    models = [random_model(rng, f"m{i}") for i in range(4)]
    text = new_file().replace("\n", rng.choice(["\n", "\r\n"]))
    for model in models:
        text = upsert(text, model)
        assert upsert(text, model) == text
    assert [entry.value for entry in read_models(text)] == [json_ready(it) for it in models]
    assert all(entry.ours for entry in read_models(text))
    changed = random_model(rng, "m2")
    after = upsert(text, changed)
    assert after.split("// model:m2")[0] == text.split("// model:m2")[0]
    assert after.split("model:m2 end")[1] == text.split("model:m2 end")[1]
    assert "model:m2 " not in without(after, "m2")
    assert len(read_models(without(after, "m2"))) == 3


def test_none_is_left_out_and_lines_fit() -> None:
    model = simple().model_copy(update={"description": None, "parameters": None})
    text = '{ id: "a", name: "A", modules: { l: { count: 1, type: "layer" } } }'
    assert render_entry(model) == text


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("comma", [",", ""])
@pytest.mark.parametrize(
    ("begin", "end"),
    [
        ("export const models: Model[] = [", "];"),
        ("const models = [", "] satisfies Model[]"),
        ("export const models = [", "] as const;"),
    ],
)
def test_other_bytes_stay(begin: str, end: str, comma: str, newline: str) -> None:
    head = (
        f"\ufeff// model:a begin{newline}const s = `// model:a begin{newline}${{`}}`}}`;  {newline}"
    )
    head += f"{begin}  {newline}  {{ id: 'b', /* , ] */ name: `B`, modules: {{}} }}"
    tail = f"  // last  {newline}"
    text = f"{head}{comma}{tail}{end} // done{newline}"
    after = upsert(text, simple())
    assert after.startswith(f"{head},{tail}  // model:a begin{newline}")
    assert after.endswith(f"  // model:a end{newline}{end} // done{newline}")
    assert after.count("\r\n") == (after.count("\n") if newline == "\r\n" else 0)
    assert upsert(after, simple()) == after
    assert without(after, "a") == f"{head},{tail}{end} // done{newline}"


def test_an_array_on_one_line() -> None:
    after = upsert("const models = [{ id: 'b' }];", simple())
    assert after.startswith("const models = [{ id: 'b' },\n  // model:a begin\n")
    assert after.endswith("  // model:a end\n];")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("  // model:a begin\n", "line 2: marker begins 'a'"),
        ("  // model:a end\n", "line 2: marker ends 'a'"),
        (
            "// model:a begin\n// model:b begin\n// model:b end\n// model:a end\n",
            "line 3: .*inside",
        ),
        (
            "// model:b begin\n// model:b end\n" * 2,
            "line 4: a second block of 'b', first in line 2",
        ),
        ("  { ...base, id: 'a' },\n", "line 2: 'a' is written by hand here; remove"),
        ("// model:b begin\n{ id: 'a' },\n// model:b end\n", "line 3: .*block of another"),
        ("{\n// it\n}\n// model:b begin\n{},\n// model:b end\n", "line 5: .*comma"),
        ("  /* x\n", "line 2: the comment .* no end"),
        ("  'x\n", "line 2: the string"),
        ("  `x${`y`}\n", "line 2: the template"),
        ("  `x${`y`\n", "line 3: .*closes no bracket"),
        ("  {)\n", "line 2: .*closes no bracket"),
        ("[" * 100_000, "line 2: more than 200 brackets"),
    ],
)
def test_broken_files(body: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as error:
        upsert(f"const models = [\n{body}];\n", simple())
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["", "const model = [];", "const models = f();", "// models = ["])
def test_no_array(text: str) -> None:
    with pytest.raises(DataError, match=r"^line 1: "):
        read_models(text)


def test_markers_in_other_places_are_text() -> None:
    text = (
        "const models = [\n  {\n    // model:a begin\n    id: 'b',\n    name: `\n"
        "// model:a begin\n`,\n"
        "  },\n  /*\n  // model:a begin\n  */\n  1, // model:a begin\n];\n// model:a end\n"
    )
    assert len(read_models(text)) == 2
    assert upsert(upsert(text, simple()), simple()) == upsert(text, simple())


def test_tolerant_reading() -> None:
    text = (
        "const r = /[/`]`/; export const models: Array<Model> = [({ 'id': `b` as const, n: 0xFF,"
        " m: 1_0,"
        "e: -1e3, u: undefined, l: [1, (2), undefined,], s: 'a\\x41\\u{1F600}\\\n' + \"z\", "
        "[`k`]: null,"
        "} as unknown as Map<string, number>) satisfies Model, ...more, { id: 'c', f: f(1) }, 3];"
    )
    first, *others = read_models(text)
    assert first.value == {
        **{"id": "b", "n": 255, "m": 10, "e": -1000, "l": [1, 2, None], "s": "aA😀z", "k": None}
    }
    assert [(it.id, it.value, it.line) for it in others] == [
        (None, None, 2), ("c", None, 2), (None, None, 2)
    ]  # fmt: skip
    assert all(it.reason for it in others)


def test_ten_megabytes() -> None:
    entry = '{ id: "b", name: "x", modules: { a: { count: 1, type: "layer" } } },\n'
    start = time.process_time()
    upsert("const models = [\n" + entry * (10_000_000 // len(entry)) + "];\n", simple())
    with pytest.raises(DataError):
        read_models("const models = [`" + "a\\" * 5_000_000)
    assert time.process_time() - start < 60


def test_ids_that_no_marker_takes() -> None:
    with pytest.raises(DataError, match="rename"):
        upsert(new_file(), simple("a\nb"))


def test_diff() -> None:
    after = upsert(new_file(), simple())
    diff = unified_diff(new_file(), after, "models.ts")
    assert diff.startswith("--- a/models.ts\n+++ b/models.ts\n@@")
    assert unified_diff(after, after, "models.ts") == ""


def test_tree_problems() -> None:
    modules = {
        "a": {"count": 1, "type": "layer", "definitions": ["rmsnorm_h128", "rmsnorm_h128"]},
        "b": {"count": 1, "type": "block", "parent": "a", "definitions": ["nonsense"]},
    }
    found = tree_problems(Model.model_validate({"id": "m", "name": "m", "modules": modules}))
    for part in ("2 times", "layer with modules", "nothing inside", "'nonsense' names no"):
        assert sum(part in line for line in found) == 1
    assert len(found) == 4
    assert tree_problems(simple()) == []
