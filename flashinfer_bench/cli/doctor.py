"""`flashinfer-bench doctor`: what this machine has, and what is missing for what.

Nothing heavy is imported, and nothing at all that a broken installation may lack.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from flashinfer_bench import env
from flashinfer_bench._version import __version__
from flashinfer_bench.cli.options import add_output
from flashinfer_bench.cli.output import print_table, print_text
from flashinfer_bench.errors import ExitCode

OLDEST_PYTHON = (3, 10)
CORE = "core"
PACKAGES = (
    (CORE, "pydantic", "2.10", "everything"),
    (CORE, "rich", "13", "tables on a terminal"),
    ("bench", "torch", "2.11", "references, building and measuring"),
    ("bench", "triton", "3.4", "Triton solutions"),
    ("bench", "safetensors", "0.5", "stored tensors of workloads"),
    ("models", "huggingface_hub", "0.34", "model configs and datasets from the Hub"),
    ("agents", "anthropic", "2.13", "agents through the API"),
    ("flashinfer", "flashinfer-python", "0.6.1", "baselines; apply and tracing in FlashInfer"),
)
"""Extra that brings it, package, oldest version that will do, what it is needed for."""
TOOLS = (
    ("nvcc", "CUDA solutions"),
    ("gcc", "C solutions"),
    ("g++", "C++ and CUDA solutions"),
    ("nvidia-smi", "finding GPUs"),
)
_QUERY = ("--query-gpu=name,driver_version,memory.total", "--format=csv,noheader")
_PATIENCE_S = 5
_LANDLOCK_CREATE_RULESET = 444
_SECRET = re.compile(r"TOKEN|KEY|SECRET|PASSWORD")


@dataclass(frozen=True)
class Fact:
    """One thing about this machine."""

    status: str
    """`ok`, `note`, `missing`, or `broken`: nothing works without it."""
    area: str
    name: str
    found: str
    needed_for: str | None = None
    extra: str | None = None
    """What of flashinfer-bench to install for it."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's flags."""
    add_output(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print all facts; fails only where nothing can work."""
    found = list(facts())
    if options.format == "json":
        print(json.dumps([asdict(fact) for fact in found], indent=2))
    else:
        rows = [(it.status, it.area, it.name, it.found, it.needed_for) for it in found]
        print_table(("status", "area", "what", "found", "needed for"), rows, optional=("area",))
        _print_remedy([fact.extra for fact in found if fact.extra])
    broken = any(fact.status == "broken" for fact in found)
    return ExitCode.MISSING_REQUIREMENT if broken else ExitCode.OK


def _print_remedy(missing: Sequence[str]) -> None:
    if missing:
        extras = sorted({*missing} - {CORE})
        wanted = f"flashinfer-bench[{','.join(extras)}]" if extras else "flashinfer-bench"
        print_text(f"for the missing packages: pip install '{wanted}'")


def facts() -> Iterator[Fact]:
    """Everything, area by area."""
    yield from _machine()
    yield from (package(*row) for row in PACKAGES)
    yield from (_tool(*row) for row in TOOLS)
    yield from _gpus()
    yield _folder("dataset", env.dataset_path(), "commands without --local")
    yield _folder("cache", env.cache_path(), "fast second runs")
    yield _landlock()
    yield _user_namespaces()
    yield from _variables()


def _machine() -> Iterator[Fact]:
    fits = sys.version_info >= OLDEST_PYTHON
    needed = None if fits else f"Python {'.'.join(map(str, OLDEST_PYTHON))} or newer"
    yield Fact("ok" if fits else "broken", "machine", "python", platform.python_version(), needed)
    yield Fact("ok", "machine", "flashinfer-bench", __version__)
    yield Fact("ok", "machine", "platform", platform.platform())
    usable, cpus = _usable_cpus(), os.cpu_count() or 0
    limited = f"{usable} of {cpus}" if usable < cpus else str(cpus)
    yield Fact("ok", "machine", "CPUs", limited, "building solutions")
    if hasattr(os, "sysconf"):
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        yield Fact("ok", "machine", "memory", _gigabytes(memory))


def _usable_cpus() -> int:
    usable = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    return len(usable) if usable else os.cpu_count() or 0


def package(extra: str, name: str, oldest: str, needed_for: str) -> Fact:
    """Whether a package is installed, in a version that will do."""
    area = "package"
    try:
        found = version(name)
    except PackageNotFoundError:
        status = "broken" if name == "pydantic" else "missing"
        return Fact(status, area, name, "not installed", needed_for, extra)
    if _numbers(found) < _numbers(oldest):
        return Fact("note", area, name, f"{found}, older than {oldest}", needed_for, extra)
    return Fact("ok", area, name, found, needed_for)


def _numbers(text: str) -> list[int]:
    release = re.match(r"\d+(\.\d+)*", text)
    return [int(part) for part in release[0].split(".")] if release else []


def _tool(name: str, needed_for: str) -> Fact:
    path = shutil.which(name)
    return Fact("ok" if path else "missing", "tool", name, path or "not on PATH", needed_for)


def _gpus() -> Iterator[Fact]:
    needed_for = "measuring GPU kernels"
    smi = shutil.which("nvidia-smi")
    output = _output([smi, *_QUERY]) if smi else ""
    lines = [line for line in (output or "").splitlines() if line.strip()]
    for i, line in enumerate(lines):
        name, driver, memory = [*line.split(", "), "?", "?"][:3]
        yield Fact("ok", "GPU", f"GPU {i}", f"{name}, {memory}, driver {driver}", needed_for)
    if not lines:
        found = "nvidia-smi fails" if output is None else "none found"
        yield Fact("missing", "GPU", "GPU", found, needed_for)
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    yield Fact("note", "GPU", "CUDA_VISIBLE_DEVICES", "not set" if visible is None else visible)


def _folder(name: str, path: Path, needed_for: str) -> Fact:
    there = path.is_dir()
    nearest = next(folder for folder in (path, *path.absolute().parents) if folder.is_dir())
    writable = "writable" if os.access(nearest, os.W_OK) else "not writable"
    free = f"{_gigabytes(shutil.disk_usage(nearest).free)} free"
    state = f"{path}: {'' if there else 'does not exist, '}{writable}, {free}"
    status = "ok" if there else "note" if name == "cache" else "missing"
    return Fact(status, "folder", name, state, needed_for)


def _landlock() -> Fact:
    needed_for = "keeping solutions from the file system"
    if platform.system() != "Linux":
        return Fact("missing", "sandbox", "landlock", "Linux only", needed_for)
    abi = ctypes.CDLL(None).syscall(_LANDLOCK_CREATE_RULESET, None, 0, 1)
    if abi < 1:
        return Fact("missing", "sandbox", "landlock", "not in this kernel", needed_for)
    return Fact("ok", "sandbox", "landlock", f"version {abi}", needed_for)


def _user_namespaces() -> Fact:
    needed_for = "isolating solutions without root"
    unshare = shutil.which("unshare")
    if unshare is None:
        return Fact("note", "sandbox", "user namespaces", "unknown: no unshare", needed_for)
    works = _output([unshare, "--user", "true"]) is not None
    status, found = ("ok", "work") if works else ("missing", "not permitted")
    return Fact(status, "sandbox", "user namespaces", found, needed_for)


def _variables() -> Iterator[Fact]:
    for name, value in sorted(os.environ.items()):
        if name.startswith("FIB_"):
            yield Fact("note", "variable", name, "(set)" if _SECRET.search(name) else value)


def _output(command: Sequence[str]) -> str | None:
    """What a command prints; None where it fails or takes too long."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_PATIENCE_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def _gigabytes(size: int) -> str:
    return f"{size / 2**30:.1f} GiB"


__all__ = ["Fact", "add_arguments", "facts", "package", "run"]
