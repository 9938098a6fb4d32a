"""Finds SGLang's source: a checkout, an unpacked wheel, an installed package, or a download.

Nothing of it is imported. A download is the wheel alone, without what it depends on, and only its
Python files and metadata are kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

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


def find_sglang(
    path: str | Path | None = None, *, version: str | None = None, offline: bool = False
) -> SglangSource:
    """SGLang at `path`, else in ./sglang, else installed, else from our cache or the package index.

    `path` is a checkout, a folder into which a wheel was unpacked, the package itself or a wheel.
    `version` asks for that one from cache or index, which `offline` leaves out. Raises
    NotFoundError (nothing there), DataError (a wheel without SGLang), AccessError (no download
    possible).
    """
    found = _find(path, version, offline=offline)
    return SglangSource(found.package, found.version, found.origin)


def _find(path: str | Path | None, version: str | None, *, offline: bool) -> Found:
    if path is not None:
        return _SGLANG.at(Path(path).expanduser())
    if version is None:
        here = Path("sglang")
        if _SGLANG.in_folder(here) is not None:
            return _SGLANG.at(here)
        installed = _SGLANG.installed()
        if installed is not None:
            return installed
    return _SGLANG.cached(version) or _SGLANG.download(version, offline=offline)


__all__ = ["SglangSource", "find_sglang"]
