"""The architectures of an SGLang: every class that a model file lists as `EntryClass`.

SGLang's registry imports the files that lie directly in `srt/models` and takes the classes by their
own names. Here the files are parsed (with `ast`, 1.4 s for all of 0.5.23, where libcst takes 10 s),
and names are followed through imports to the class statement.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from flashinfer_bench.models.facts import kept_facts
from flashinfer_bench.models.sglang.source import SglangSource


@dataclass(frozen=True)
class Architecture:
    """A class that SGLang serves models with."""

    name: str
    """As `architectures` in a config.json has it."""
    entry: str
    """File that lists it as `EntryClass`, relative to the package."""
    file: str
    """File that defines the class, relative to the package."""
    line: int
    """Of the class statement."""


def read_architectures(source: SglangSource) -> dict[str, Architecture]:
    """Name -> architecture, sorted; from our cache where no file has changed."""
    records = _index(source)["architectures"]
    return {record["name"]: Architecture(**record) for record in records}


def unreadable_files(source: SglangSource) -> list[str]:
    """Files of architectures that are no Python, each with the line; SGLang passes over them."""
    found: list[str] = _index(source)["unreadable"]
    return found


def _index(source: SglangSource) -> dict[str, Any]:
    files = sorted(source.models.glob("*.py"))
    index: dict[str, Any] = kept_facts(
        "sglang_index", files, lambda: _read(source.package, files), given="2"
    )
    return index


def _read(package: Path, files: Sequence[Path]) -> dict[str, object]:
    found: dict[str, Architecture] = {}
    unreadable = []
    for file in files:
        try:
            found.update({it.name: it for it in _entries(package, file)})
        except SyntaxError as error:
            where = Path(error.filename or file).relative_to(package).as_posix()
            unreadable.append(f"{where}:{error.lineno or 1}: {error.msg}")
    rows = [asdict(found[name]) for name in sorted(found)]
    return {"architectures": rows, "unreadable": sorted(set(unreadable))}


def _entries(package: Path, file: Path) -> Iterator[Architecture]:
    tree = _parse(file)
    for name in _entry_names(tree):
        place = _class_statement(package, file, tree, name)
        if place is not None:
            where, statement = place
            entry, defined = (path.relative_to(package).as_posix() for path in (file, where))
            yield Architecture(statement.name, entry, defined, statement.lineno)


def _parse(file: Path) -> ast.Module:
    return ast.parse(file.read_bytes(), filename=str(file))


def _entry_names(tree: ast.Module) -> list[str]:
    """What the last `EntryClass = …` of a module lists, and what `+=` adds to it."""
    names: list[str] = []
    for statement in ast.walk(tree):
        if isinstance(statement, ast.Assign):
            targets, added = statement.targets, False
        elif isinstance(statement, ast.AugAssign):
            targets, added = [statement.target], True
        else:
            continue
        if any(isinstance(it, ast.Name) and it.id == "EntryClass" for it in targets):
            value = statement.value
            listed = value.elts if isinstance(value, (ast.List, ast.Tuple)) else [value]
            found = [it.id for it in listed if isinstance(it, ast.Name)]
            names = [*names, *found] if added else found
    return names


def _class_statement(
    package: Path, file: Path, tree: ast.Module, name: str, seen: tuple[Path, ...] = ()
) -> tuple[Path, ast.ClassDef] | None:
    """Where a name of a module is defined as a class; the last statement that binds it counts."""
    for statement in reversed(list(ast.walk(tree))):
        if isinstance(statement, ast.ClassDef) and statement.name == name:
            return file, statement
    for statement in ast.walk(tree):
        if not isinstance(statement, ast.ImportFrom):
            continue
        for alias in statement.names:
            origin = _module_file(package, file, statement)
            if (alias.asname or alias.name) == name and origin and origin not in seen:
                return _class_statement(package, origin, _parse(origin), alias.name, (*seen, file))
    return None


def _module_file(package: Path, file: Path, statement: ast.ImportFrom) -> Path | None:
    """The file of the module that is imported from; None where it is not SGLang's."""
    parts = statement.module.split(".") if statement.module else []
    if statement.level:
        folder = file.parents[statement.level - 1]
    elif parts[:1] == [package.name]:
        folder, parts = package, parts[1:]
    else:
        return None
    path = folder.joinpath(*parts)
    options = (path.with_suffix(".py"), path / "__init__.py")
    return next((option for option in options if option.is_file()), None)


__all__ = ["Architecture", "read_architectures", "unreadable_files"]
