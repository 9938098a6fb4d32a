"""Finds the source of a Python package: a path, an installed one, our cache, or a download.

Nothing of it is imported. A download is the wheel alone, without what it depends on, and only its
Python files and metadata are kept.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from flashinfer_bench.env import cache_path
from flashinfer_bench.errors import AccessError, DataError, NotFoundError

DOWNLOAD_SECONDS = 300
_QUICKLY = (
    *("--quiet", "--no-deps", "--no-input", "--disable-pip-version-check", "--only-binary=:all:"),
    *("--retries", "1", "--timeout", "10"),
)
"""The wheel alone, and no long wait for a network that is not there."""
_FOREIGN_TAGS = ("--python-version", "3.11", "--platform", "manylinux_2_34_x86_64")
"""Of the newest wheels, which pip would not take for another machine."""


@dataclass(frozen=True)
class Found:
    """A folder with a package's source."""

    package: Path
    version: str | None
    """None where nothing says so, as in a checkout."""
    origin: str
    """How it was found, e.g. `installed package`."""


@dataclass(frozen=True)
class SourcePackage:
    """A package whose source is read; `marker` is a path inside that every version of it has."""

    name: str
    marker: Path
    title: str
    """As messages name it."""
    inside: Sequence[str]
    """Where the package may lie in a folder that is given."""
    advice: str
    """What to do where no download is possible."""

    def at(self, path: Path) -> Found:
        """In a folder or a wheel; raises NotFoundError, or DataError where a wheel lacks it."""
        if path.is_file() and path.suffix == ".whl":
            return self.unpack(path)
        package = self.in_folder(path)
        if package is None:
            raise NotFoundError(
                f"{path}: no {self.title} here (no {self.marker.as_posix()} below it); expected a "
                "checkout, an unpacked wheel or a .whl file"
            )
        return Found(package, self.version_beside(package), f"path {path}")

    def in_folder(self, folder: Path) -> Path | None:
        """The package in a checkout, in an unpacked wheel, or the folder itself."""
        for inside in self.inside:
            if (folder / inside / self.marker).exists():
                return (folder / inside).resolve()
        return None

    def version_beside(self, package: Path) -> str | None:
        """As the metadata of a wheel says that was unpacked or installed."""
        for folder in sorted(package.parent.glob(f"{self.name}-*.dist-info")):
            found = self._version_in(folder.name)
            if found:
                return found
        return None

    def _version_in(self, file: str) -> str | None:
        found = re.search(rf"{self.name}-(\d[^-]*)(?:-.*)?\.(?:whl|dist-info)$", file)
        return found[1] if found else None

    def installed(self) -> Found | None:
        spec = find_spec(self.name)
        for folder in (spec and spec.submodule_search_locations) or ():
            if (Path(folder) / self.marker).exists():
                package = Path(folder).resolve()
                return Found(package, self.version_beside(package), "installed package")
        return None

    @property
    def _store(self) -> Path:
        return cache_path() / self.name

    def cached(self, version: str | None) -> Found | None:
        """The version, or the newest one, of those that were unpacked before."""
        folders = sorted(
            self._store.glob(f"*/{self.name}"), key=lambda it: _numbers(it.parent.name)
        )
        for package in reversed(folders):
            if version in (None, package.parent.name):
                return Found(package, package.parent.name, "our cache")
        return None

    def download(self, version: str | None, *, offline: bool = False) -> Found:
        """Raises AccessError where there is no download, DataError where it is something else."""
        wanted = f"{self.name}=={version}" if version else self.name
        if offline:
            raise AccessError(f"{wanted} is not here, and offline; {self.advice}")
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "pip", "download", *_QUICKLY, "--dest", folder, wanted]
            for tags in ((), _FOREIGN_TAGS):
                problem = _run([*command, *tags])
                for wheel in Path(folder).glob("*.whl"):
                    return self.unpack(wheel, "package index")
        raise AccessError(f"{wanted} cannot be downloaded ({problem}); {self.advice}")

    def unpack(self, wheel: Path, origin: str | None = None) -> Found:
        """The Python files of a wheel, in our cache. Raises DataError."""
        version = self._version_in(wheel.name) or wheel.stem
        target = self._store / version
        if not (target / self.name).is_dir():
            self._store.mkdir(parents=True, exist_ok=True)
            scratch = Path(tempfile.mkdtemp(dir=self._store, prefix="unpacking-"))
            try:
                self._extract(wheel, scratch)
                self._put(scratch, target)
            finally:
                shutil.rmtree(scratch, ignore_errors=True)
        return Found(target / self.name, version, origin or f"wheel {wheel}")

    def _extract(self, wheel: Path, folder: Path) -> None:
        try:
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(folder, [it for it in archive.namelist() if self._is_kept(it)])
        except zipfile.BadZipFile as error:
            raise DataError(f"{wheel}: not a wheel ({error})") from error
        if not (folder / self.name / self.marker).exists():
            raise DataError(
                f"{wheel}: no {self.name}/{self.marker.as_posix()} in it; "
                f"expected {self.title}'s wheel"
            )

    def _is_kept(self, member: str) -> bool:
        if member.startswith(f"{self.name}/"):
            return member.endswith(".py")
        return member.startswith(f"{self.name}-") and member.endswith(".dist-info/METADATA")

    def _put(self, scratch: Path, target: Path) -> None:
        """In one step, so that no half of it is ever found; another process may have been first."""
        try:
            scratch.rename(target)
        except OSError:
            if not (target / self.name).is_dir():
                raise


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)]


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


__all__ = ["Found", "SourcePackage"]
