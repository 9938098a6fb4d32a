"""`show`: a skill's text, or exactly what the engines would send."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence

from flashinfer_bench.errors import ExitCode
from flashinfer_bench.runner.bundle import SkillText, find_bundle
from flashinfer_bench.runner.engines import EngineOptions, api, claude
from flashinfer_bench.runner.parsing import engine_options, parse
from flashinfer_bench.skills.flags import params_of
from flashinfer_bench.skills.registry import MODULES, load_skill


def show(name: str, words: Sequence[str], *, rendered: bool, form: str) -> int:
    """Print it; UsageError where the skill or its flags are off."""
    text = find_bundle().skill(name)
    found = _sent(text, words) if rendered else _stated(text)
    if form == "json":
        print(json.dumps(found, indent=2))
    elif rendered:
        for title, it in found.items():
            print(f"=== {title}\n{shlex.join(it) if isinstance(it, list) else it}")
    else:
        print(f"{text.name} ({text.path})\n{text.description}\n\n{text.body}", end="")
    return ExitCode.OK


def _stated(text: SkillText) -> dict[str, object]:
    return {**text.fields, "path": str(text.path), "body": text.body}


def _sent(text: SkillText, words: Sequence[str]) -> dict[str, object]:
    options = EngineOptions(words=tuple(words))
    if text.name in MODULES:
        skill = load_skill(text.name)
        parsed = parse(skill, words, f"claude-code run {text.name}")
        options = engine_options(parsed, params_of(parsed, skill.params))
    return {
        "engine claude: command": claude.command(text, options),
        "engine claude: the text as Claude Code expands it": text.rendered(
            shlex.join(options.words)
        ),
        "engine api: model": options.model or api.MODEL,
        "engine api: system": api.system_prompt(text),
        "engine api: user": api.user_message(text, options),
    }


__all__ = ["show"]
