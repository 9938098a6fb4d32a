"""Where names are looked up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flashinfer_bench.models.evaluator.values import sealed

if TYPE_CHECKING:
    from flashinfer_bench.models.evaluator.modules import Module


@sealed
class Lazy:
    """A value that is made when it is first asked for, as of an import in a function."""

    __slots__ = ("make",)

    def __init__(self, make: Callable[[], Any]) -> None:
        self.make = make


@sealed
@dataclass
class Scope:
    """Names of a function's call, of a class body, of a comprehension or of a module."""

    module: Module
    names: dict[str, Any]
    parent: Scope | None = None
    of_class: bool = False
    """Whether functions inside pass over it, as methods do over a class body."""
    of_comprehension: bool = False
    before: int | None = None
    """At the top level: number of the statement, whose names are those bound before it."""
    owner: type | None = None
    """Class whose method runs, for `super()`."""
    cell: dict[str, type] = field(default_factory=dict)
    """Of a class body: gets the class under `class`, for the functions inside."""
    outer: dict[str, Scope] = field(default_factory=dict)
    """Names declared `nonlocal` or `global`."""

    def look_up(self, name: str) -> Any:
        """Raises NameError."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.names:
                value = scope.names[name]
                if type(value) is Lazy:
                    value = scope.names[name] = value.make()
                return value
            if scope.parent is None:
                return scope.module.global_value(name, scope.before)
            scope = scope.parent
        raise NameError(name)

    def bind(self, name: str, value: Any) -> None:
        target = self.outer.get(name, self) if self.outer else self
        if target.parent is None and target is not self:
            target.module.rebind(name, value)
        else:
            target.names[name] = value

    def unbind(self, name: str) -> None:
        """Raises NameError where it is not bound here."""
        target = self.outer.get(name, self)
        if name not in target.names:
            raise UnboundLocalError(f"name {name!r} is not bound here")
        del target.names[name]

    def declare(self, names: list[str], *, as_global: bool) -> None:
        """Makes assignments to the names go to where they are bound outside."""
        for name in names:
            scope = self.parent
            while scope is not None and scope.parent is not None and not as_global:
                if name in scope.names:
                    break
                scope = scope.parent
            self.outer[name] = scope if scope and not as_global else Scope(self.module, {})

    def method_parent(self) -> Scope:
        """Where a function that is defined here looks up names that are not its own."""
        scope = self
        while scope.of_class and scope.parent is not None:
            scope = scope.parent
        return scope


__all__ = ["Lazy", "Scope"]
