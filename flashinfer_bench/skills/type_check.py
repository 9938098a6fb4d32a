"""TypeScript around models.ts: its types, and the compiler where it is installed."""

from __future__ import annotations

import subprocess
from pathlib import Path

from flashinfer_bench.errors import NotFoundError

_PACKAGE = Path(__file__).parents[1]
_TYPES = (
    _PACKAGE.parent / "web" / "apps" / "web" / "data" / "types.ts",
    _PACKAGE / "_bundle" / "types.ts",
)
"""In a checkout, and as the wheel carries it."""
_SECONDS = 120


def types_file() -> str:
    """Content of types.ts."""
    for path in _TYPES:
        if path.is_file():
            return path.read_text(encoding="utf-8")
    raise NotFoundError("types.ts is neither in a checkout nor in the package; install it again")


def type_problems(models: Path) -> list[str]:
    """What the compiler says of a models.ts, one line each; nothing where it is not installed."""
    project = models.resolve().parents[1]
    compilers = [it / "node_modules" / ".bin" / "tsc" for it in (project, *project.parents)]
    compiler = next((it for it in compilers if it.exists()), None)
    if compiler is None or not (project / "tsconfig.json").is_file():
        return []
    command = [str(compiler), "--noEmit", "--pretty", "false", "-p", str(project)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_SECONDS, check=False, cwd=project
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return [f"tsc did not run: {error}"]
    return [line for line in done.stdout.splitlines() if "error TS" in line][:5]


__all__ = ["type_problems", "types_file"]
