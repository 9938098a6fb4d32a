"""All skills by name, loaded when they are asked for."""

from __future__ import annotations

from difflib import get_close_matches
from importlib import import_module

from flashinfer_bench.errors import UsageError
from flashinfer_bench.skills.contract import Skill

MODULES = {
    "add-new-model": "flashinfer_bench.skills.add_new_model",
    "collect-workloads": "flashinfer_bench.skills.collect_workloads",
    "extract-model-from-hf": "flashinfer_bench.skills.extract_hf",
    "find-sglang-baseline": "flashinfer_bench.skills.find_sglang_baseline",
    "generate-model-definition": "flashinfer_bench.skills.generate_model_definition",
}
"""Skill -> module, which holds it as `SKILL`."""


def load_skill(name: str) -> Skill:
    """The skill of a name; UsageError, with those that are alike, where there is none."""
    known = name.replace("_", "-").strip("/").rpartition(":")[2]
    if known not in MODULES:
        close = get_close_matches(known, MODULES, n=3, cutoff=0.4) or list(MODULES)
        raise UsageError(f"no skill {name!r}; did you mean {' or '.join(close)}?")
    skill: Skill = import_module(MODULES[known]).SKILL
    return skill


__all__ = ["MODULES", "load_skill"]
