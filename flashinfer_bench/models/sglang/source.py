"""Finds SGLang's source: a checkout, an unpacked wheel, an installed package, or a download.

Nothing of it is imported. A download is the wheel alone, without what it depends on, and only its
Python files are kept.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from flashinfer_bench.env import cache_path
from flashinfer_bench.errors import AccessError, DataError, NotFoundError

MODELS = Path("srt", "models")
"""Folder of the architectures, in the package."""
DOWNLOAD_SECONDS = 300
_VERSION = re.compile(r"sglang-(?P<version>\d[^-]*)(?:-.*)?\.(?:whl|dist-info)$")
_FOREIGN_TAGS = ("--python-version", "3.11", "--platform", "manylinux_2_34_x86_64")
"""Of the newest wheels, which pip would not take for another machine."""


@dataclass(frozen=True)
class SglangSource:
    """A folder with SGLang's source."""

    package: Path
    """Folder of the package `sglang`."""
    version: str | None
    """None where nothing says so, as in a checkout."""
    origin: str
    """How it was found, e.g. `installed package`."""

    @property
    def models(self) -> Path:
        """Folder with a file for each family of architectures."""
        return self.package / MODELS


def find_sglang(path: str | Path | None = None, *, version: str | None = None) -> SglangSource:
    """SGLang at `path`, else in ./sglang, else installed, else from our cache or the package index.

    `path` is a checkout, a folder into which a wheel was unpacked, the package itself or a wheel.
    `version` asks for that one from cache or index. Raises NotFoundError (nothing there),
    DataError (a wheel without SGLang), AccessError (no download possible).
    """
    if path is not None:
        return _at(Path(path).expanduser())
    if version is None:
        here = Path("sglang")
        if _package_in(here) is not None:
            return _at(here)
        installed = _installed()
        if installed is not None:
            return installed
    return _cached(version) or _download(version)


def _at(path: Path) -> SglangSource:
    if path.is_file() and path.suffix == ".whl":
        return _unpacked(path)
    package = _package_in(path)
    if package is None:
        raise NotFoundError(
            f"{path}: no SGLang here (no {MODELS.as_posix()} below it); expected a checkout, an "
            "unpacked wheel or a .whl file"
        )
    return SglangSource(package, _version_beside(package), f"path {path}")


def _package_in(folder: Path) -> Path | None:
    """The package in a checkout, in an unpacked wheel, or the folder itself."""
    for inside in (".", "sglang", "python/sglang"):
        if (folder / inside / MODELS).is_dir():
            return (folder / inside).resolve()
    return None


def _version_beside(package: Path) -> str | None:
    """As the metadata of a wheel says that was unpacked or installed."""
    for folder in sorted(package.parent.glob("sglang-*.dist-info")):
        found = _VERSION.search(folder.name)
        if found:
            return found["version"]
    return None


def _installed() -> SglangSource | None:
    spec = find_spec("sglang")
    for folder in (spec and spec.submodule_search_locations) or ():
        if (Path(folder) / MODELS).is_dir():
            package = Path(folder).resolve()
            return SglangSource(package, _version_beside(package), "installed package")
    return None


def _store() -> Path:
    return cache_path() / "sglang"


def _cached(version: str | None) -> SglangSource | None:
    """The version, or the newest one, of those that were unpacked before."""
    folders = sorted(_store().glob("*/sglang"), key=lambda it: _numbers(it.parent.name))
    for package in reversed(folders):
        if version in (None, package.parent.name):
            return SglangSource(package, package.parent.name, "our cache")
    return None


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)]


def _download(version: str | None) -> SglangSource:
    wanted = f"sglang=={version}" if version else "sglang"
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-input"]
        command += ["--disable-pip-version-check", "--only-binary=:all:", "--dest", folder, wanted]
        for tags in ((), _FOREIGN_TAGS):
            problem = _run([*command, *tags])
            for wheel in Path(folder).glob("*.whl"):
                return _unpacked(wheel, "package index")
    raise AccessError(
        f"{wanted} cannot be downloaded ({problem}); give --sglang-path with a checkout or a wheel"
    )


def _run(command: list[str]) -> str:
    """What went wrong, in one line; empty if nothing did."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=DOWNLOAD_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return f"no answer within {DOWNLOAD_SECONDS} s"
    lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
    return lines[-1] if done.returncode and lines else "" if not done.returncode else "pip failed"


def _unpacked(wheel: Path, origin: str | None = None) -> SglangSource:
    """The Python files of a wheel, in our cache."""
    found = _VERSION.search(wheel.name)
    version = found["version"] if found else wheel.stem
    target = _store() / version
    if not (target / "sglang").is_dir():
        _store().mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(dir=_store(), prefix="unpacking-"))
        try:
            _extract(wheel, scratch)
            _put(scratch, target)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    return SglangSource(target / "sglang", version, origin or f"wheel {wheel}")


def _extract(wheel: Path, folder: Path) -> None:
    try:
        with zipfile.ZipFile(wheel) as archive:
            wanted = [
                name
                for name in archive.namelist()
                if name.startswith("sglang/") and name.endswith(".py")
            ]
            archive.extractall(folder, wanted)
    except zipfile.BadZipFile as error:
        raise DataError(f"{wheel}: not a wheel ({error})") from error
    if not (folder / "sglang" / MODELS).is_dir():
        raise DataError(f"{wheel}: no sglang/{MODELS.as_posix()} in it; expected SGLang's wheel")


def _put(scratch: Path, target: Path) -> None:
    """In one step, so that no half of it is ever found; another process may have been first."""
    try:
        scratch.rename(target)
    except OSError:
        if not (target / "sglang").is_dir():
            raise


__all__ = ["SglangSource", "find_sglang"]
