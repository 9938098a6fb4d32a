"""A Solution: source code that implements a Definition."""

from __future__ import annotations

import hashlib
import json
from enum import Enum
from pathlib import Path, PurePosixPath, PureWindowsPath

from pydantic import ConfigDict, field_validator, model_validator

from flashinfer_bench.data.base import NonEmptyString, StoredModel


class SupportedLanguages(str, Enum):
    """What a solution's entry point is written in."""

    PYTHON = "python"
    TRITON = "triton"
    CPP = "cpp"
    CUDA = "cuda"
    TILELANG = "tilelang"

    def __str__(self) -> str:
        return self.value


class SupportedBindings(str, Enum):
    """How compiled code becomes callable from Python."""

    TVM_FFI = "tvm-ffi"
    TORCH = "torch"

    def __str__(self) -> str:
        return self.value


class SourceFile(StoredModel):
    """One file of a solution."""

    model_config = ConfigDict(frozen=True)

    path: NonEmptyString
    """Path relative to the solution's own folder."""
    content: NonEmptyString
    """The text of the file."""

    @field_validator("path")
    @classmethod
    def _stays_inside(cls, path: str) -> str:
        absolute = PurePosixPath(path).is_absolute() or PureWindowsPath(path).is_absolute()
        if absolute or ".." in PureWindowsPath(path).parts:
            raise ValueError(f"{path!r} leaves the solution's folder; give a relative path")
        return path


class BuildSpec(StoredModel):
    """How a solution is built and called."""

    model_config = ConfigDict(frozen=True)

    language: SupportedLanguages
    """Language of the entry point."""
    target_hardware: list[NonEmptyString]
    """Hardware the author had in mind, e.g. `NVIDIA H200`; at least one."""
    entry_point: str
    """`file::function`, the file being one of `sources`."""
    dependencies: list[NonEmptyString] = []
    """Packages that must be importable."""
    destination_passing_style: bool = True
    """True: outputs are the last arguments; False: they are returned."""
    binding: SupportedBindings | None = None
    """Binding of compiled languages; null means `tvm-ffi`."""

    @field_validator("target_hardware")
    @classmethod
    def _names_hardware(cls, hardware: list[str]) -> list[str]:
        if not hardware:
            raise ValueError("empty; name at least one target")
        return hardware

    @field_validator("entry_point")
    @classmethod
    def _is_file_and_symbol(cls, entry_point: str) -> str:
        file, separator, symbol = entry_point.partition("::")
        if not (separator and file and symbol) or "::" in symbol:
            raise ValueError(f"{entry_point!r} is not of the form file::function")
        return entry_point


class Solution(StoredModel):
    """Source code that implements a Definition; immutable, equal when `hash()` is equal."""

    model_config = ConfigDict(frozen=True)

    name: NonEmptyString
    """Unique name within a dataset."""
    definition: NonEmptyString
    """Name of the Definition it implements."""
    author: NonEmptyString
    """Who wrote it; `baseline` is what others are compared with."""
    spec: BuildSpec
    """How it is built and called."""
    sources: list[SourceFile]
    """Its files; at least one, with distinct paths."""
    description: str | None = None
    """What it does differently."""

    @field_validator("sources")
    @classmethod
    def _paths_are_distinct(cls, sources: list[SourceFile]) -> list[SourceFile]:
        paths = [Path(source.path).as_posix() for source in sources]
        if not paths:
            raise ValueError("empty; a solution has at least one source file")
        twice = {path for path in paths if paths.count(path) > 1}
        if twice:
            raise ValueError(f"path given twice: {', '.join(sorted(twice))}")
        return sources

    @model_validator(mode="after")
    def _entry_is_a_source(self) -> Solution:
        if self.get_entry_path() not in [Path(source.path) for source in self.sources]:
            paths = ", ".join(source.path for source in self.sources)
            raise ValueError(f"entry point {self.spec.entry_point!r} is not among sources: {paths}")
        return self

    def get_entry_path(self) -> Path:
        """Path of the file that holds the entry point."""
        return Path(self.spec.entry_point.partition("::")[0])

    def get_entry_symbol(self) -> str:
        """Name of the function to call."""
        return self.spec.entry_point.partition("::")[2]

    def get_entry_source(self) -> SourceFile:
        """The file that holds the entry point."""
        entry = self.get_entry_path()
        return next(file for file in self.sources if Path(file.path) == entry)

    def hash(self) -> str:
        """The public tool's sha1; neither delimited nor aware of the calling convention.

        Kept for names that are visible in datasets. Caches are keyed by `digest()`.
        """
        spec = self.spec
        parts = [self.definition, spec.language.value, spec.entry_point]
        parts += [spec.binding.value if spec.binding else "", *spec.dependencies]
        parts += [text for source in self.sources for text in (source.path, source.content)]
        return hashlib.sha1("".join(parts).encode(errors="surrogatepass")).hexdigest()

    def digest(self) -> str:
        """sha256 over everything that decides what is built and how it is called.

        Covers the definition, the whole spec (calling convention and keys unknown to us included)
        and all sources in any order; not the name, author or description.
        """
        content = {
            "definition": self.definition,
            "spec": self.spec.model_dump(mode="json"),
            "sources": sorted((source.path, source.content) for source in self.sources),
        }
        text = json.dumps(content, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def with_unique_name(self) -> Solution:
        """A copy whose name ends in the first 8 digits of `hash()`."""
        return self.model_copy(update={"name": f"{self.name}_{self.hash()[:8]}"})

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Solution) and self.hash() == other.hash()

    def __hash__(self) -> int:
        return int(self.hash()[:16], 16)


__all__ = [
    "BuildSpec",
    "Solution",
    "SourceFile",
    "SupportedBindings",
    "SupportedLanguages",
]
