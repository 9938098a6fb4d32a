"""`run`: a skill by an engine, its envelope on stdout, and a record whatever happens."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

from flashinfer_bench.errors import FlashInferBenchError
from flashinfer_bench.runner.bundle import find_bundle
from flashinfer_bench.runner.engines import EngineOptions, load_engine, pipeline
from flashinfer_bench.runner.parsing import engine_options, parse
from flashinfer_bench.skills.contract import Envelope, Params, Skill
from flashinfer_bench.skills.execution import guarded, interrupted, save_record
from flashinfer_bench.skills.flags import params_of
from flashinfer_bench.skills.printing import print_envelope
from flashinfer_bench.skills.registry import load_skill


def run(name: str, words: Sequence[str], prog: str) -> int:
    """Run the skill; returns its exit code. UsageError where there is no such skill."""
    skill, started = load_skill(name), time.time()
    prog = f"{prog} {skill.name}"
    form, engine = "human", "pipeline"
    try:
        options = parse(skill, words, prog)
        form, engine = options.format, options.engine
        params = params_of(options, skill.params)
        envelope = _run(skill, params, engine, engine_options(options, params))
    except FlashInferBenchError as error:
        envelope = _failed(skill, engine, error)
    except KeyboardInterrupt:
        envelope = interrupted(skill.name, engine)
    record = save_record(envelope, [*prog.split(), *words], started)
    print_envelope(envelope, form)
    if envelope.error and record:
        print(f"record of this run: {record}", file=sys.stderr)
    return int(envelope.exit_code)


def _run(skill: Skill, params: Params, engine: str, options: EngineOptions) -> Envelope:
    if engine == "pipeline":
        return pipeline.run(skill, params, None, options)

    def work() -> Envelope:
        text = find_bundle().skill(skill.name)
        return load_engine(engine).run(skill, params, text, options)

    return guarded(skill.name, engine, work)


def _failed(skill: Skill, engine: str, error: FlashInferBenchError) -> Envelope:
    def fail() -> Envelope:
        raise error

    return guarded(skill.name, engine, fail)


__all__ = ["run"]
