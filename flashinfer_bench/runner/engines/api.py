"""The engine that has a model call the helpers as tools, through Anthropic's API."""

from __future__ import annotations

import json
import os
import shlex
import sys
import time
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from flashinfer_bench.errors import AccessError, MissingRequirementError
from flashinfer_bench.runner.bundle import SkillText
from flashinfer_bench.runner.engines import (
    DEFAULT_TIMEOUT,
    EngineOptions,
    EngineStoppedError,
    HelperRun,
    decided,
)
from flashinfer_bench.skills.contract import Envelope, Params, Skill
from flashinfer_bench.skills.execution import execute, guarded
from flashinfer_bench.skills.flags import checked
from flashinfer_bench.skills.registry import MODULES, load_skill

if TYPE_CHECKING:
    from anthropic import Anthropic
    from anthropic.lib.tools import BetaFunctionTool

MODEL = "claude-opus-5-5"
KEYS = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN")
MAX_TURNS = 20
_MAX_TOKENS = 8192
_READ = "read_reference"
_PREAMBLE = """\
You carry out the skill below. Its helpers are your tools: where the text says
`python -m flashinfer_bench.skills.…`, call the tool that has the skill's name, with the flags as
its arguments (`--model-name x` is `model_name: "x"`). $ARGUMENTS stands for the flags that the
user gives. The run succeeds only if the tool {name} does; what you say is not checked, what it
wrote is.
"""


def run(skill: Skill, params: Params, text: SkillText, options: EngineOptions) -> Envelope:
    """Raises MissingRequirementError without package or key, AccessError without a connection,
    EngineStoppedError where the model stops early."""
    if find_spec("anthropic") is None:
        what = "pip install 'flashinfer-bench[agents]', or use --engine pipeline"
        raise MissingRequirementError(f"--engine api needs the package anthropic; {what}")
    if not any(map(os.environ.get, KEYS)):
        what = f"set {' or '.join(KEYS)}, or use --engine pipeline"
        raise MissingRequirementError(f"--engine api needs a key; {what}")
    import anthropic

    runs: list[HelperRun] = []
    try:
        _converse(make_client(), text, options, runs)
    except (anthropic.AuthenticationError, anthropic.PermissionDeniedError) as error:
        raise AccessError(f"the API refuses the key: {error}; set another one") from error
    except anthropic.APIConnectionError as error:
        what = "check the network, or use --engine pipeline"
        raise AccessError(f"the API cannot be reached: {error}; {what}") from error
    except anthropic.APIError as error:
        raise EngineStoppedError(f"the API stopped: {error}; run again later") from error
    return decided(skill, params, "api", runs)


def make_client() -> Anthropic:
    from anthropic import Anthropic

    return Anthropic()


def system_prompt(text: SkillText) -> str:
    """What is the same in every run of a skill, so that it is cached."""
    return f"{_PREAMBLE.format(name=text.name)}\n{text.body}"


def user_message(text: SkillText, options: EngineOptions) -> str:
    return f"/{text.name} {shlex.join(options.words)}".rstrip()


def _converse(
    client: Anthropic, text: SkillText, options: EngineOptions, runs: list[HelperRun]
) -> None:
    """EngineStoppedError unless the model ends its turn by itself, in time."""
    seconds, stopped_by = options.timeout or DEFAULT_TIMEOUT, ""
    end = time.monotonic() + seconds
    replies = client.beta.messages.tool_runner(
        model=options.model or MODEL,
        max_tokens=_MAX_TOKENS,
        max_iterations=options.max_turns or MAX_TURNS,
        system=[
            {"type": "text", "text": system_prompt(text), "cache_control": {"type": "ephemeral"}}
        ],
        messages=[{"role": "user", "content": user_message(text, options)}],
        tools=_tools(text, runs),
        thread=False,
        timeout=seconds,
    )
    for reply in replies:
        stopped_by = str(reply.stop_reason)
        _tell(reply, options)
        if time.monotonic() > end:
            raise EngineStoppedError(f"took longer than {seconds:g} s; give a longer --timeout")
    if stopped_by == "tool_use":
        raise EngineStoppedError("the model used up its turns; give it more with --max-turns")
    if stopped_by not in ("end_turn", "stop_sequence"):
        raise EngineStoppedError(f"the model stopped by {stopped_by}; run again")


def _tell(reply: Any, options: EngineOptions) -> None:
    for block in reply.content:
        if block.type == "text":
            print(block.text, file=sys.stderr, flush=True)
        elif block.type == "tool_use":
            print(f"> {block.name} {json.dumps(block.input)}", file=sys.stderr, flush=True)
    if options.log:
        with options.log.open("a", encoding="utf-8") as log:
            log.write(reply.model_dump_json() + "\n")


def _tools(text: SkillText, runs: list[HelperRun]) -> list[BetaFunctionTool[Any]]:
    helpers = [_helper(load_skill(name), runs) for name in MODULES]
    return [*helpers, _reader(text)] if text.resources else helpers


def _helper(skill: Skill, runs: list[HelperRun]) -> BetaFunctionTool[Any]:
    from anthropic.lib.tools import BetaFunctionTool, ToolError

    def call(**stated: Any) -> str:
        def work() -> Envelope:
            return execute(skill, checked(stated, skill.params), engine="api")

        envelope = guarded(skill.name, "api", work)
        runs.append(HelperRun(envelope, stated))
        if envelope.error:
            raise ToolError(f"exit code {int(envelope.exit_code)}: {envelope.error}")
        return json.dumps(envelope.as_json())

    first_line = (skill.params.__doc__ or skill.name).strip().partition("\n")[0]
    return BetaFunctionTool(
        call, name=skill.name, description=first_line, input_schema=skill.params
    )


def _reader(text: SkillText) -> BetaFunctionTool[Any]:
    from anthropic.lib.tools import BetaFunctionTool, ToolError

    files = text.resources

    def read(file: str) -> str:
        if file not in files:
            raise ToolError(f"no file {file!r}; there are {', '.join(files)}")
        return files[file].read_text(encoding="utf-8")

    enumerated: dict[str, object] = {"type": "string", "enum": list(files)}
    schema: dict[str, object] = {
        **{"type": "object", "properties": {"file": enumerated}},
        "required": ["file"],
    }
    return BetaFunctionTool(
        read, name=_READ, description="A file that the skill refers to.", input_schema=schema
    )


__all__ = ["KEYS", "MODEL", "make_client", "run", "system_prompt", "user_message"]
