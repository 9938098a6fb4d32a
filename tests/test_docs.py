"""Generated parts of the docs are fresh, links lead somewhere, examples are true."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from flashinfer_bench.data import DType, EvaluationStatus
from flashinfer_bench.data.constraints import unsupported
from flashinfer_bench.ops.binding import Binding
from flashinfer_bench.ops.contract import Operation
from flashinfer_bench.ops.emit import emit
from flashinfer_bench.ops.registry import operations, parse_name

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
SCHEMAS = DOCS / "flashinfer_trace"
OP_TYPE_PAGES = DOCS / "op_type_schema"
NAMED = [
    ROOT / name
    for name in ("README.md", "CONTRIBUTING.md", "CLAUDE.md", "flashinfer_trace/README.md")
]
PAGES = [*NAMED, *sorted(DOCS.rglob("*.md"))]

LINK = re.compile(r"(?<!!)\[[^\]\n]*\]\(<?([^)\s>]+)>?(?:\s[^)]*)?\)")
CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)


def load_generator() -> ModuleType:
    sys.path.insert(0, str(DOCS))  # it imports its neighbours
    spec = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


generate = load_generator()


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def run_check(docs: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(docs / "generate.py"), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=docs)


@pytest.mark.parametrize("page", sorted(DOCS.rglob("*.md")), ids=name_of)
def test_pages_are_fresh(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert generate.pages({page: text}).get(page) == text, "run `python docs/generate.py`"


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """The docs and the sample dataset in a folder of their own."""
    sample = "tests/data/sample_dataset"
    shutil.copytree(ROOT / sample, tmp_path / sample)
    shutil.copytree(DOCS, tmp_path / "docs")
    return tmp_path / "docs"


def test_check_names_stale_pages_and_a_run_mends_them(copied: Path) -> None:
    assert run_check(copied, "--check").returncode == 0
    page, other = copied / "flashinfer_trace/model.md", copied / "flashinfer_trace/trace.md"
    before = page.read_text()
    page.write_text(before.replace("| `count` |", "| `number` |"))
    stale = run_check(copied, "--check")
    assert stale.returncode == 1
    assert str(page) in stale.stderr
    assert str(other) not in stale.stderr
    assert run_check(copied).returncode == 0
    assert page.read_text() == before
    assert run_check(copied, "--check").returncode == 0


def test_pages_of_op_types_come_and_go(copied: Path) -> None:
    pages = copied / "op_type_schema"
    missing, leftover, stale = (pages / f"{name}.md" for name in ("rope", "soap", "gemm"))
    before = missing.read_text(), stale.read_text()
    missing.unlink()
    leftover.write_text("# Operations of soap\n")
    stale.write_text(before[1].replace("float16", "float15"))
    check = run_check(copied, "--check")
    assert check.returncode == 1
    states = [line.split(";")[0] for line in check.stderr.splitlines()]
    assert states == [f"{stale}: stale", f"{missing}: missing", f"{leftover}: leftover"]
    assert run_check(copied).returncode == 0
    assert (missing.read_text(), stale.read_text()) == before
    assert not leftover.exists()
    assert (pages / "README.md").exists()


def test_docs_are_made_without_torch() -> None:
    code = (
        "import runpy, sys\nsys.modules['torch'] = None\nsys.argv[1:] = ['--check']\n"
        f"sys.path.insert(0, {str(DOCS)!r})\n"
        f"runpy.run_path({str(DOCS / 'generate.py')!r}, run_name='__main__')"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr


def by_kind(operation: Operation) -> str:
    return operation.kind


@pytest.mark.parametrize("operation", operations(), ids=by_kind)
def test_pages_say_what_a_kernel_needs(operation: Operation) -> None:
    page = (OP_TYPE_PAGES / f"{operation.op_type}.md").read_text(encoding="utf-8")
    [section] = re.findall(
        rf"^## {operation.kind}\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL
    )
    definition = emit(*parse_name(operation.example.name))
    assert f"flashinfer-bench definition {definition.name}\n" in section
    assert f"```python\n{definition.reference.rstrip()}\n```" in section
    for name in (*definition.axes, *definition.inputs, *definition.outputs):
        assert f"| `{name}` |" in section
    binding = operation.binding
    shown = binding.apis if isinstance(binding, Binding) else (binding.reason,)
    assert [text for text in (*definition.constraints, *shown) if text not in section] == []
    assert type(operation.check).__name__ in section


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<!-- generated: Definition -->\n", "needs one"),
        ("<!-- generated: Blame -->\n<!-- generated: Model -->\n<!-- end generated -->\n", "one"),
        ("<!-- end generated -->\n", "needs one"),
        ("<!-- generated: Definitoin -->\n<!-- end generated -->\n", "'Definitoin' is no model"),
        ("<!-- generated: TraceSet -->\n<!-- end generated -->\n", "'TraceSet' is no model"),
    ],
)
def test_parts_that_cannot_be_made(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        generate.render(text, DOCS / "page.md")


def test_models_that_no_page_describes_are_an_error(copied: Path) -> None:
    (copied / "flashinfer_trace/workload.md").unlink()
    broken = run_check(copied, "--check")
    assert broken.returncode == 1
    assert "links to Workload, which no page describes" in broken.stderr


def test_text_around_a_part_is_kept() -> None:
    page = SCHEMAS / "page.md"
    text = "before\n<!-- generated: Blame -->\nold\n<!-- end generated -->\nafter\n"
    made = generate.render(text, page)
    assert made.startswith("before\n<!-- generated: Blame -->\n`solution`, ")
    assert made.endswith("`machine`\n<!-- end generated -->\nafter\n")
    assert generate.render(made, page) == made


def anchors_in(page: Path) -> set[str]:
    """Anchors as GitHub makes them of headings."""
    text = CODE.sub("", page.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_relative_links_lead_somewhere(page: Path) -> None:
    if not page.exists():
        pytest.skip(f"{page.name} is not written yet")
    for link in LINK.findall(CODE.sub("", page.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", link):
            continue
        place, _, anchor = link.partition("#")
        target = page.parent / place if place else page
        assert target.exists(), f"{page.name}: {link}"
        if anchor and target.suffix == ".md":
            assert anchor in anchors_in(target), f"{page.name}: {link}"


def test_every_schema_page_is_there() -> None:
    names = {"definition", "solution", "workload", "trace", "model"}
    assert names <= {page.stem for page in SCHEMAS.glob("*.md")}


def test_constraints_that_are_shown_are_in_the_language() -> None:
    text = (SCHEMAS / "definition.md").read_text(encoding="utf-8")
    [block] = re.findall(r"```constraint\n(.*?)```", text, re.DOTALL)
    shown = block.splitlines()
    assert len(shown) > 3
    assert [line for line in shown if unsupported(line)] == []


def test_all_statuses_and_dtypes_are_named() -> None:
    rows = re.findall(r"^\| `([A-Z_]+)` \|", (SCHEMAS / "trace.md").read_text(), re.MULTILINE)
    assert sorted(rows) == sorted(EvaluationStatus.__members__)
    definition = (SCHEMAS / "definition.md").read_text()
    assert [dtype for dtype in DType if f"`{dtype}`" not in definition] == []
