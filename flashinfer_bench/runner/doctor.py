"""`doctor`: what the runner finds on this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from flashinfer_bench._version import __version__
from flashinfer_bench.errors import FlashInferBenchError
from flashinfer_bench.runner.bundle import find_bundle
from flashinfer_bench.runner.engines import api, claude

_PATIENCE_S = 10


@dataclass(frozen=True)
class Fact:
    """One thing about this machine."""

    status: str
    """`ok`, `note`, `missing`, or `broken`: no engine works without it."""
    name: str
    found: str


def facts() -> Iterator[Fact]:
    """Everything, what all engines need first."""
    yield Fact("ok", "flashinfer-bench", __version__)
    yield _bundle()
    yield _alias()
    yield _python()
    yield _program("claude", claude.find_binary(), "--engine claude")
    yield _package()
    yield _key()
    for name, needed_for in (("git", "SGLang's source"), ("node", "type-checking models.ts")):
        yield _program(name, shutil.which(name), needed_for)


def _bundle() -> Fact:
    try:
        bundle = find_bundle()
    except FlashInferBenchError as error:
        return Fact("broken", "skills", str(error))
    return Fact("ok", "skills", f"{len(bundle.names)} in {bundle.root}")


def _alias() -> Fact:
    path = shutil.which("claude-code")
    if path is None:
        return Fact("note", "claude-code", "not on PATH; `flashinfer-bench skills` is the same")
    try:
        ours = b"flashinfer_bench" in Path(path).read_bytes()
    except OSError:
        ours = False
    what = "" if ours else ": not ours, use `flashinfer-bench skills`"
    return Fact("ok" if ours else "note", "claude-code", f"{path}{what}")


def _python() -> Fact:
    path = Path(sys.executable).parent / "python"
    if path.exists():
        return Fact("ok", "python", f"{path}, which agents run helpers with")
    return Fact("note", "python", f"no {path}: with --engine claude another python may be found")


def _program(name: str, path: str | None, needed_for: str) -> Fact:
    if path is None:
        return Fact("missing", name, f"not on PATH; needed for {needed_for}")
    try:
        done = subprocess.run(
            [path, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_PATIENCE_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return Fact("note", name, f"{path}, which does not tell its version")
    return Fact("ok", name, f"{path}, {' '.join(done.stdout.split())}")


def _package() -> Fact:
    try:
        return Fact("ok", "anthropic", version("anthropic"))
    except PackageNotFoundError:
        what = "pip install 'flashinfer-bench[agents]' for --engine api"
        return Fact("missing", "anthropic", f"not installed; {what}")


def _key() -> Fact:
    found = [name for name in api.KEYS if os.environ.get(name)]
    if found:
        return Fact("ok", "key", f"{found[0]} is set")
    return Fact("missing", "key", f"none of {', '.join(api.KEYS)}; needed for --engine api")


__all__ = ["Fact", "facts"]
