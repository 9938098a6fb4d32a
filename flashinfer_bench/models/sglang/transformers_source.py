"""Finds the source of the transformers that an SGLang is made for, for its configuration classes.

SGLang pins one version, and other versions differ in defaults. Nothing of it is imported.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from flashinfer_bench.errors import AccessError
from flashinfer_bench.models.sglang.packages import Found, SourcePackage
from flashinfer_bench.models.sglang.source import SglangSource

DEFAULT_VERSION = "5.19.0"
"""Where nothing says which one SGLang pins: that of SGLang 0.5.23."""
_KNOWN_PINS = {"0.5.9": "4.57.1", "0.5.13": "5.8.1", "0.5.23": "5.19.0"}
"""Of SGLang's versions, for those that are unpacked without metadata."""
_TRANSFORMERS = SourcePackage(
    name="transformers",
    marker=Path("configuration_utils.py"),
    title="transformers",
    inside=(".", "transformers", "src/transformers"),
    advice="install transformers, or give a folder or a wheel of it",
)
_PIN = re.compile(r"""^(?:Requires-Dist: |\s*["'])transformers\s*==\s*(?P<version>[\w.]+)""", re.M)


@dataclass(frozen=True)
class TransformersSource:
    """A folder with transformers' source."""

    package: Path
    """Folder of the package `transformers`."""
    version: str | None
    """None where nothing says so."""
    origin: str
    """How it was found, e.g. `our cache`."""
    pinned: str | None
    """Version that SGLang asks for; None where that is not known."""

    @property
    def note(self) -> str | None:
        """What to say where the version is not the pinned one."""
        if self.pinned is None or self.version in (None, self.pinned):
            return None
        return f"transformers {self.version} ({self.origin}) instead of SGLang's {self.pinned}"


def find_transformers(
    path: str | Path | None = None,
    *,
    sglang: SglangSource | None = None,
    offline: bool = False,
) -> TransformersSource | None:
    """transformers at `path`, else the version that SGLang pins: installed, cached or downloaded.

    Without a download, as where `offline`, another version that is there; None where there is
    none. Raises NotFoundError (nothing at `path`), DataError (a wheel of something else).
    """
    pinned = None
    if sglang is not None:
        pinned = read_pin(sglang.package) or _KNOWN_PINS.get(sglang.version or "")
    if path is not None:
        found: Found | None = _TRANSFORMERS.at(Path(path).expanduser())
    else:
        found = _find(pinned or DEFAULT_VERSION, offline=offline)
    if found is None:
        return None
    return TransformersSource(found.package, found.version, found.origin, pinned)


def read_pin(sglang: Path) -> str | None:
    """The version in the metadata beside SGLang's package, or in its checkout's pyproject.toml."""
    files = [*sglang.parent.glob("sglang-*.dist-info/METADATA"), sglang.parent / "pyproject.toml"]
    for file in files:
        if file.is_file():
            found = _PIN.search(file.read_text(encoding="utf-8", errors="replace"))
            if found:
                return found["version"]
    return None


def _find(version: str, *, offline: bool) -> Found | None:
    installed = _TRANSFORMERS.installed()
    if installed is not None and installed.version == version:
        return installed
    cached = _TRANSFORMERS.cached(version)
    if cached is not None:
        return cached
    try:
        return _TRANSFORMERS.download(version, offline=offline)
    except AccessError:
        return installed or _TRANSFORMERS.cached(None)


__all__ = ["DEFAULT_VERSION", "TransformersSource", "find_transformers", "read_pin"]
