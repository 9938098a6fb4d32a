"""What the evaluator computes with besides Python's own values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, NoReturn, TypeVar

if TYPE_CHECKING:
    from typing_extensions import TypeIs


@dataclass(frozen=True)
class Place:
    """A line of source."""

    file: str
    """Relative to the folder of its package, as in `sglang/srt/models/llama.py`."""
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


NOWHERE = Place("?", 0)


class Undecided(BaseException):
    """Python's own code asked for the truth, length or items of an Unknown.

    No Exception, so that evaluated `except Exception` does not catch it.
    """

    def __init__(self, unknown: Unknown) -> None:
        super().__init__(str(unknown))
        self.unknown = unknown


class Exhausted(BaseException):
    """The evaluation took more steps than it was given, or went too deep."""


class Refused(BaseException):
    """The evaluated code does something that the evaluator does not do, such as reaching inside."""


class Unknown:
    """A value that cannot be known here, and why.

    Arithmetic, attributes, items and calls give the same Unknown. `quiet` ones stand for machinery
    that no shape depends on: it is taken to be off, and a branch on it needs no mention.
    """

    __slots__ = ("place", "quiet", "reason")

    reason: str
    place: Place
    quiet: bool

    def __init__(self, reason: str, place: Place = NOWHERE, *, quiet: bool = False) -> None:
        object.__setattr__(self, "reason", reason)
        object.__setattr__(self, "place", place)
        object.__setattr__(self, "quiet", quiet)

    def __repr__(self) -> str:
        return f"<unknown: {object.__getattribute__(self, 'reason')}>"

    def __getattr__(self, name: str) -> Unknown:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        return self

    def __setattr__(self, name: str, value: Any) -> None:
        return None

    def __delattr__(self, name: str) -> None:
        return None

    def __getitem__(self, key: Any) -> Unknown:
        return self

    def __setitem__(self, key: Any, value: Any) -> None:
        return None

    def __delitem__(self, key: Any) -> None:
        return None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """As a decorator it leaves what it decorates as it is."""
        return args[0] if len(args) == 1 and not kwargs and is_definition(args[0]) else self

    def __copy__(self) -> Unknown:
        return self

    def __deepcopy__(self, memo: Any) -> Unknown:
        return self

    def __enter__(self) -> Unknown:
        return self

    def __exit__(self, *error: object) -> Literal[False]:
        return False

    def _same(self, *others: Any) -> Unknown:
        return self

    def __bool__(self) -> bool:
        if self.quiet:
            return False
        raise Undecided(self)

    def _ask(self, *others: Any) -> NoReturn:
        raise Undecided(self)

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = _same
    __truediv__ = __rtruediv__ = __floordiv__ = __rfloordiv__ = __mod__ = __rmod__ = _same
    __pow__ = __rpow__ = __lshift__ = __rlshift__ = __rshift__ = __rrshift__ = _same
    __and__ = __rand__ = __or__ = __ror__ = __xor__ = __rxor__ = __matmul__ = __rmatmul__ = _same
    __neg__ = __pos__ = __invert__ = __abs__ = __round__ = _same
    __lt__ = __le__ = __gt__ = __ge__ = _same
    __len__ = __int__ = __float__ = __index__ = __contains__ = _ask
    __hash__ = object.__hash__

    def __eq__(self, other: object) -> Any:
        return self

    def __ne__(self, other: object) -> Any:
        return self

    def __iter__(self) -> Iterator[Any]:
        raise Undecided(self)


_definitions: tuple[type, ...] = (type,)


def register_definition(kind: type) -> type:
    """Marks a class whose instances are functions of the evaluated source."""
    global _definitions
    _definitions = (*_definitions, kind)
    return kind


def is_definition(value: Any) -> bool:
    """Whether a value is a class or a function of the evaluated source."""
    return isinstance(value, _definitions)


def is_unknown(value: Any) -> TypeIs[Unknown]:
    """Without asking the value itself."""
    return type(value) is Unknown


_Kind = TypeVar("_Kind", bound=type)
_sealed: tuple[type, ...] = ()


def sealed(kind: _Kind) -> _Kind:
    """Marks a class whose instances have no attributes for evaluated code."""
    global _sealed
    _sealed = (*_sealed, kind)
    _is_sealed_kind.cache_clear()
    return kind


def is_sealed(value: Any) -> bool:
    """Without asking the value itself."""
    return _is_sealed_kind(type(value))  # type: ignore[arg-type]  # of any class


@lru_cache(maxsize=4096)
def _is_sealed_kind(kind: type) -> bool:
    return issubclass(kind, _sealed)


def matches(error: Exception, kind: Any) -> bool:
    """Whether an `except` of a kind, or of several, catches an error."""
    kinds = kind if isinstance(kind, tuple) else (kind,)
    return any(isinstance(it, type) and isinstance(error, it) for it in kinds)


__all__ = [
    "NOWHERE",
    "Exhausted",
    "Place",
    "Refused",
    "Undecided",
    "Unknown",
    "is_definition",
    "is_sealed",
    "is_unknown",
    "matches",
    "register_definition",
    "sealed",
]
