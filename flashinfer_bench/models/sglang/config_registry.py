"""SGLang's own configuration classes by model type, each evaluated when it is asked for.

SGLang keeps a table `_CONFIG_REGISTRY`, adds aliases to it in later statements, and registers some
more with transformers' AutoConfig. To learn the keys all of it is evaluated once, and kept in the
cache by the files' state; afterwards only the class that is asked for is.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from flashinfer_bench.models.evaluator.modules import Module
from flashinfer_bench.models.evaluator.scope import Scope
from flashinfer_bench.models.facts import kept_facts
from flashinfer_bench.models.sglang.config_library import ConfigLibrary

TABLE = "_CONFIG_REGISTRY"
_MODULES = (
    "sglang.srt.utils.hf_transformers.common",
    "sglang.srt.utils.hf_transformers_utils",
    "sglang.srt.hf_transformers_utils",
)
"""Where SGLang's versions keep the table, newest first."""

_REGISTERS = re.compile(r"register\w*\(|_extra_content")

Entry = tuple[str, str | int]
"""A module, and the name of a class there or the number of the statement that makes it."""


class Registry(Mapping[str, type]):
    """Model type -> class, made when it is asked for."""

    def __init__(self, library: ConfigLibrary, entries: Mapping[str, Entry]) -> None:
        self._library, self._entries = library, entries
        self._made: dict[str, type] = {}

    def __getitem__(self, key: str) -> type:
        if key not in self._made:
            module, where = self._entries[key]
            if isinstance(where, str):
                self._made[key] = self._library.evaluator.import_name(module, where)
            else:
                self._made[key] = _replayed(self._library, module, where)[key]
        return self._made[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)


def install_registries(library: ConfigLibrary) -> Registry:
    """Puts SGLang's classes where its own functions and AutoConfig find them; returns its table."""
    module = registry_module(library)
    if module is None:
        return Registry(library, {})
    entries = _read_entries(library, module)
    table = Registry(library, entries["table"])
    module.rebind(TABLE, table)
    library.mapping.first = Registry(library, entries["replacing"])
    library.mapping.more = [Registry(library, entries["registered"]), table]
    return table


def registry_module(library: ConfigLibrary) -> Module | None:
    for name in _MODULES:
        found = library.evaluator.find_module(name)
        if isinstance(found, Module) and TABLE in found.source.binding:
            return found
    return None


def _read_entries(library: ConfigLibrary, module: Module) -> dict[str, dict[str, Entry]]:
    package = library.evaluator.finder.packages["sglang"]
    files = [module.source.path, *sorted((package / "srt" / "configs").glob("*.py"))]

    def read() -> dict[str, Any]:
        replacing, registered = _registered(library, module, files)
        return {"table": _table(library, module), "replacing": replacing, "registered": registered}

    stored = kept_facts("sglang_configs", files, read, given=str(library.package))
    return {
        kind: {key: (str(name), where) for key, (name, where) in rows.items()}
        for kind, rows in stored.items()
    }


def _table(library: ConfigLibrary, module: Module) -> dict[str, Entry]:
    made = module.global_value(TABLE)
    entries: dict[str, Entry] = {
        key: (cls.__module__, cls.__name__) for key, cls in made.items() if isinstance(cls, type)
    }
    for number in module.source.changing.get(TABLE, ()):
        if not isinstance(module.source.parse(number), (ast.For, ast.FunctionDef)):
            for key in _replayed(library, module.name, number):
                entries[key] = (module.name, number)
    return entries


def _registered(
    library: ConfigLibrary, module: Module, files: Iterable[Path]
) -> tuple[dict[str, Entry], dict[str, Entry]]:
    """What `AutoConfig.register` is called with at the top level, but for the table's classes.

    First what replaces a class of transformers, then what adds to them.
    """
    replacing: dict[str, Entry] = {}
    adding: dict[str, Entry] = {}
    for found in [module, *_modules_that_register(library, files)]:
        for number, statement in enumerate(found.source.statements):
            text = _text(found, statement.first, statement.last)
            if (
                _REGISTERS.search(text)
                and TABLE not in text
                and _is_run(found.source.parse(number))
            ):
                for key in _replayed(library, found.name, number):
                    target = replacing if key in library.mapping.names else adding
                    target[key] = (found.name, number)
    return replacing, adding


def _text(module: Module, first: int, last: int) -> str:
    lines = module.source.path.read_text(encoding="utf-8", errors="replace").split("\n")
    return "\n".join(lines[first - 1 : last])


def _is_run(node: ast.stmt) -> bool:
    """Whether a statement does something besides defining a name."""
    if isinstance(node, ast.Assign):
        return not any(isinstance(it, ast.Name) for it in node.targets)
    return isinstance(node, (ast.Expr, ast.Try, ast.For, ast.With, ast.If))


def _modules_that_register(library: ConfigLibrary, files: Iterable[Path]) -> Iterator[Module]:
    for file in files:
        if _REGISTERS.search(file.read_text(encoding="utf-8", errors="replace")):
            found = library.evaluator.find_module(f"sglang.srt.configs.{file.stem}")
            if isinstance(found, Module):
                yield found


def _replayed(library: ConfigLibrary, module: str, number: int) -> dict[str, type]:
    """What a statement at the top level adds to SGLang's table or to AutoConfig's."""
    found: Any = library.evaluator.import_module(module)
    added: dict[str, type] = {}
    before, library.mapping.registered = library.mapping.registered, added
    try:
        scope = Scope(found, {TABLE: added}, before=number)
        library.evaluator.run([found.source.parse(number)], scope)
    finally:
        library.mapping.registered = before
    return dict(added)


__all__ = ["TABLE", "Registry", "install_registries", "registry_module"]
