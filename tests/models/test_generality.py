"""No model's or architecture's name stands in the evaluator or in what drives it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from flashinfer_bench.models.known import known_models

MODELS = Path(__file__).parents[2] / "flashinfer_bench" / "models"
ARCHITECTURE = re.compile(r"\w+For(?:Causal|Conditional|Sequence)\w+")
WORDS = {
    re.split(r"[-._\d]", model.model_id.rpartition("/")[2].lower())[0] for model in known_models()
}
"""First words of well-known models: llama, deepseek, qwen, …"""


def literals(path: Path) -> Iterator[str]:
    """Strings and names of a file's code, without docstrings."""
    tree = ast.parse(path.read_text())
    documents = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if id(node) not in documents:
                yield node.value
        elif isinstance(node, ast.Name):
            yield node.id


def test_the_words_are_those_of_models() -> None:
    assert {"llama", "deepseek", "qwen", "kimi", "gemma"} <= WORDS


def test_the_evaluator_names_no_model() -> None:
    for path in (MODELS / "evaluator").glob("*.py"):
        for text in literals(path):
            assert not ARCHITECTURE.search(text), (path.name, text)
            assert not WORDS & set(re.findall(r"[a-z]{4,}", text.lower())), (path.name, text)


def test_what_drives_it_names_no_architecture() -> None:
    allowed = {"AutoModelForCausalLM"}
    for path in (MODELS / "sglang").glob("*.py"):
        for text in literals(path):
            found = set(ARCHITECTURE.findall(text)) - allowed
            assert not found, (path.name, found)
