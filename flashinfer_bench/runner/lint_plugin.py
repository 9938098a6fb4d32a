"""What is wrong with the manifests around a bundle."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from flashinfer_bench._version import __version__
from flashinfer_bench.errors import DataError
from flashinfer_bench.runner.bundle import Bundle
from flashinfer_bench.runner.engines.claude import PLUGIN, find_binary

PLUGIN_FILE = Path(".claude-plugin", "plugin.json")
MARKETPLACE_FILE = Path(".claude-plugin", "marketplace.json")
_PATIENCE_S = 60


def plugin_problems(bundle: Bundle) -> Iterator[str]:
    """Manifests, the link in a checkout, and what `claude plugin validate` says where it is."""
    checkout = bundle.root.parent if (bundle.root.parent / "pyproject.toml").is_file() else None
    yield from _plugin(bundle.root / PLUGIN_FILE)
    if checkout:
        yield from _marketplace(checkout / MARKETPLACE_FILE)
        link = checkout / ".claude" / "skills"
        if not link.is_symlink() or str(link.readlink()) != "../skills":
            yield f"{link}:1: expected a link to ../skills; `ln -s ../skills .claude/skills`"
    binary = find_binary()
    for folder in filter(None, (bundle.root, checkout)):
        yield from _validated(binary, folder) if binary else ()


def _plugin(path: Path) -> Iterator[str]:
    try:
        found = _object(path)
    except DataError as error:
        yield str(error)
        return
    if found.get("name") != PLUGIN:
        yield _at(path, "name", f"name is {found.get('name')!r}; expected {PLUGIN!r}")
    if found.get("version") != __version__:
        yield _at(path, "version", f"version {found.get('version')!r}; expected {__version__!r}")


def _marketplace(path: Path) -> Iterator[str]:
    try:
        found = _object(path)
    except DataError as error:
        yield str(error)
        return
    plugins = found.get("plugins")
    entries = [it for it in plugins if isinstance(it, dict)] if isinstance(plugins, list) else []
    own = [it for it in entries if it.get("name") == PLUGIN]
    if not own:
        yield _at(path, "plugins", f"lists no plugin {PLUGIN!r}")
    for entry in own:
        if entry.get("source") != "./skills":
            yield _at(path, "source", f"source {entry.get('source')!r}; expected './skills'")
        if entry.get("version", __version__) != __version__:
            yield _at(path, "version", f"version {entry['version']!r}; expected {__version__!r}")


def _object(path: Path) -> dict[str, Any]:
    """DataError with file and line where there is no JSON object."""
    try:
        found = json.loads(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path}:1: {error.strerror}") from error
    except json.JSONDecodeError as error:
        raise DataError(f"{path}:{error.lineno}: {error.msg}") from error
    if not isinstance(found, dict):
        raise DataError(f"{path}:1: expected a JSON object")
    return found


def _at(path: Path, key: str, problem: str) -> str:
    lines = path.read_text(encoding="utf-8").splitlines()
    line = next((i for i, it in enumerate(lines, 1) if f'"{key}"' in it), 1)
    return f"{path}:{line}: {problem}"


def _validated(binary: str, folder: Path) -> Iterator[str]:
    words = [binary, "plugin", "validate", "--strict", str(folder)]
    try:
        done = subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_PATIENCE_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        yield f"{folder}:1: `claude plugin validate` does not run: {error}"
        return
    if done.returncode:
        told = " ".join((done.stdout + done.stderr).split())
        yield f"{folder}:1: `claude plugin validate --strict` fails: {told}"


__all__ = ["plugin_problems"]
