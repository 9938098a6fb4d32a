"""The packages import each other along these arrows only."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "flashinfer_bench"
ALL = "everything"
MAY_IMPORT: dict[str, set[str] | str] = {
    "_version": set(),
    "errors": set(),
    "env": set(),
    "collector": set(),
    "data": {"errors", "env", "collector"},
    "ops": {"data"},
    "models": {"ops", "_version"},
    "workloads": {"models"},
    "tracing": {"workloads"},
    "compile": {"ops"},
    "bench": {"compile"},
    "agents": {"bench"},
    "serve": {"agents"},
    "apply": {"compile"},
    "integration": {"apply", "tracing"},
    "skills": {"models", "workloads", "agents"},
    "runner": {"skills"},
    "cli": ALL,
    "__init__": ALL,
    "__main__": ALL,
}
"""Component -> what it may import directly; it may import what those may import too."""

HOME_OF_PACKAGE = {
    "huggingface_hub": ("models/hub.py", "workloads/"),
    "libcst": ("models/sglang/",),
    "anthropic": ("runner/engines/api.py",),
    "flashinfer": ("integration/",),
}
"""Third-party packages that are imported in one place only."""

FILES = sorted(PACKAGE.rglob("*.py"))


def component_of(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def allowed(component: str) -> set[str]:
    direct = MAY_IMPORT[component]
    if isinstance(direct, str):
        return set(MAY_IMPORT)
    return {component, *direct, *(far for near in direct for far in allowed(near))}


def imported_modules(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import; write the full name"
            assert node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_follow_the_arrows(path: Path) -> None:
    component = component_of(path)
    assert component in MAY_IMPORT, f"draw {component!r} into the layers first"
    for module in imported_modules(path):
        parts = module.split(".")
        if parts[0] != "flashinfer_bench" or len(parts) < 2:
            continue
        target = parts[1] if parts[1] in MAY_IMPORT else "_version"
        assert target in allowed(component), f"{component} may not import {module}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_third_party_packages_live_in_one_place(path: Path) -> None:
    place = path.relative_to(PACKAGE).as_posix()
    for module in imported_modules(path):
        homes = HOME_OF_PACKAGE.get(module.split(".")[0], (place,))
        assert place.startswith(homes), f"{module} is imported outside {', '.join(homes)}"


def test_arrows_have_no_cycle() -> None:
    for component, direct in MAY_IMPORT.items():
        if not isinstance(direct, str):
            assert all(component not in allowed(near) for near in direct), component
