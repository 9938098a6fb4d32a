"""The engine that needs no agent: the helper itself, the same result every time."""

from __future__ import annotations

from flashinfer_bench.runner.bundle import SkillText
from flashinfer_bench.runner.engines import EngineOptions
from flashinfer_bench.skills.contract import Envelope, Params, Skill
from flashinfer_bench.skills.execution import execute


def run(skill: Skill, params: Params, text: SkillText | None, options: EngineOptions) -> Envelope:
    return execute(skill, params)


__all__ = ["run"]
