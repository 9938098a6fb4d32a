"""A dict of lists whose keys and values are read when first asked for."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

T = TypeVar("T")


class GroupSource(Protocol[T]):
    """Where the groups come from."""

    def group_names(self) -> list[str]:
        """Names of all groups, in order."""

    def read_group(self, name: str) -> list[T]:
        """Members of one group."""


if TYPE_CHECKING:
    _Dict = dict
else:

    class _Dict(MutableMapping, dict):
        """A dict whose readers and writers all go through the five basic methods."""


class LazyGroups(_Dict[str, list[T]]):
    """A real dict to its users; copies and pickles are plain dicts."""

    def __init__(self, source: GroupSource[T]) -> None:
        # json's C encoder takes a dict for empty by its raw size, before it asks for items().
        super().__init__({"": []})
        self._source = source
        self._pending: set[str] | None = None

    def is_read(self, name: str) -> bool:
        """Whether a group's members are in memory."""
        return name not in self._unread()

    def _unread(self) -> set[str]:
        if self._pending is None:
            names = self._source.group_names()
            self._pending = set(names)
            dict.clear(self)
            for name in names:
                dict.__setitem__(self, name, [])
        return self._pending

    def __getitem__(self, name: str) -> list[T]:
        if name in self._unread():
            dict.__setitem__(self, name, self._source.read_group(name))
            self._unread().discard(name)
        return dict.__getitem__(self, name)

    def __setitem__(self, name: str, members: list[T]) -> None:
        self._unread().discard(name)
        dict.__setitem__(self, name, members)

    def __delitem__(self, name: str) -> None:
        self._unread().discard(name)
        dict.__delitem__(self, name)

    def __contains__(self, name: object) -> bool:
        self._unread()
        return dict.__contains__(self, name)

    def __iter__(self) -> Iterator[str]:
        self._unread()
        return dict.__iter__(self)

    def __len__(self) -> int:
        self._unread()
        return dict.__len__(self)

    def __reversed__(self) -> Iterator[str]:
        return reversed(list(self))

    def copy(self) -> dict[str, list[T]]:
        return dict(self.items())

    def __or__(self, other: Any) -> Any:
        return self.copy() | other

    def __ror__(self, other: Any) -> Any:
        return other | self.copy()

    def __ior__(self, other: Any) -> Any:
        self.update(other)
        return self

    def __repr__(self) -> str:
        return repr(self.copy())

    def __reduce__(self) -> Any:
        return dict, (self.copy(),)


__all__ = ["GroupSource", "LazyGroups"]
