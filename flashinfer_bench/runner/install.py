"""`install`: the skills where agents look for them, as links or copies."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from flashinfer_bench.errors import DataError
from flashinfer_bench.runner.bundle import Bundle

MARK = ".flashinfer-bench"
"""In a copied skill's folder: it is ours, and may be replaced."""


def install(bundle: Bundle, place: Path, *, copy: bool) -> dict[Path, str]:
    """Entry -> `installed` or `unchanged`; DataError, with nothing written, over foreign entries.

    A `place` that is a link to the bundle has all skills already.
    """
    if place.resolve() == bundle.root.resolve():
        return {place: "unchanged"}
    sources = {place / name: bundle.root / name for name in bundle.names}
    foreign = [str(it) for it, source in sources.items() if not _is_ours(it, source)]
    if foreign:
        what = "not made by this command; move it away and run again"
        raise DataError(f"{', '.join(foreign)}: there already, {what}")
    place.mkdir(parents=True, exist_ok=True)
    return {entry: _put(entry, source, copy) for entry, source in sources.items()}


def _is_ours(entry: Path, source: Path) -> bool:
    if not os.path.lexists(entry):
        return True
    return entry.resolve() == source.resolve() or (entry / MARK).is_file()


def _put(entry: Path, source: Path, copy: bool) -> str:
    if _holds(entry, source, copy):
        return "unchanged"
    made = entry.with_name(f".{entry.name}.{os.urandom(4).hex()}.tmp")
    try:
        if copy:
            shutil.copytree(source, made)
            (made / MARK).write_text("replaced by `claude-code install --copy`\n")
        else:
            made.symlink_to(_target(entry, source), target_is_directory=True)
        _replace(made, entry)
    finally:
        _remove(made)
    return "installed"


def _holds(entry: Path, source: Path, copy: bool) -> bool:
    if not copy:
        return entry.is_symlink() and entry.resolve() == source.resolve()
    files = {**_files(entry)} if entry.is_dir() and not entry.is_symlink() else {}
    return files.pop(MARK, None) is not None and files == _files(source)


def _files(folder: Path) -> dict[str, bytes]:
    files = (it for it in folder.rglob("*") if it.is_file())
    return {it.relative_to(folder).as_posix(): it.read_bytes() for it in files}


def _target(entry: Path, source: Path) -> Path:
    """Relative where both move together, as in a checkout."""
    project, bundle = entry.parent.resolve().parents[1], source.resolve()
    if bundle.is_relative_to(project):
        return Path(os.path.relpath(bundle, entry.parent.resolve()))
    return bundle


def _replace(made: Path, entry: Path) -> None:
    """The entry is whole, old or new, but for the moment between two renames."""
    old = entry.with_name(f"{made.name}.old")
    if os.path.lexists(entry):
        entry.rename(old)
    made.rename(entry)
    _remove(old)


def _remove(path: Path) -> None:
    if path.is_symlink():
        path.unlink()
    elif path.exists():
        shutil.rmtree(path)


__all__ = ["MARK", "install"]
