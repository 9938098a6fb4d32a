"""Finds SGLang's source: a checkout, an unpacked wheel, an installed package, or a download.

Nothing of it is imported. A download is the wheel alone, without what it depends on, and only its
Python files and metadata are kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from flashinfer_bench.errors import NotFoundError
from flashinfer_bench.models.sglang.packages import Found, SourcePackage

MODELS = Path("srt", "models")
"""Folder of the architectures, in the package."""
_SGLANG = SourcePackage(
    name="sglang",
    marker=MODELS,
    title="SGLang",
    inside=(".", "sglang", "python/sglang"),
    advice="give --sglang-path with a checkout or a wheel",
)


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
    found = _find(path, version)
    return SglangSource(found.package, found.version, found.origin)


def _find(path: str | Path | None, version: str | None) -> Found:
    if path is not None:
        return _at(Path(path).expanduser())
    if version is None:
        here = Path("sglang")
        if _SGLANG.in_folder(here) is not None:
            return _at(here)
        installed = _SGLANG.installed()
        if installed is not None:
            return installed
    return _SGLANG.cached(version) or _SGLANG.download(version)


def _at(path: Path) -> Found:
    if path.is_file() and path.suffix == ".whl":
        return _SGLANG.unpack(path)
    package = _SGLANG.in_folder(path)
    if package is None:
        raise NotFoundError(
            f"{path}: no SGLang here (no {MODELS.as_posix()} below it); expected a checkout, an "
            "unpacked wheel or a .whl file"
        )
    return Found(package, _SGLANG.version_beside(package), f"path {path}")


__all__ = ["SglangSource", "find_sglang"]
