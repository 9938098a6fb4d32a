"""Definition names by pattern: constants to name, and back."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

_PART = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Naming:
    """How a definition's name states its constants.

    Patterns hold `{constant}` for a whole number; a part in brackets is there when its constant is
    given: `gqa_paged_decode_h{num_qo_heads}[_w{window_left}]`.
    """

    official: str
    """The spelling that we write."""
    accepted: tuple[str, ...] = ()
    """Older spellings that we read."""

    def format(self, constants: Mapping[str, int]) -> str:
        """The name that states these constants; KeyError when one is missing."""
        name = ""
        for text, optional in self._parts:
            keys = _PART.findall(text)
            if optional and not all(key in constants for key in keys):
                continue
            name += text.format_map(constants)
        return name

    def parse(self, name: str) -> dict[str, int] | None:
        """The constants that a name states; None when it is no name of this kind."""
        for pattern in self._patterns:
            match = pattern.fullmatch(name)
            if match:
                return {key: int(value) for key, value in match.groupdict().items() if value}
        return None

    @cached_property
    def constants(self) -> tuple[str, ...]:
        """All constants that a name may state, in the order of the official spelling."""
        return tuple(_PART.findall(self.official))

    @cached_property
    def _parts(self) -> list[tuple[str, bool]]:
        return [
            (part.strip("[]"), part.startswith("["))
            for part in re.split(r"(\[.*?\])", self.official)
            if part
        ]

    @cached_property
    def _patterns(self) -> list[re.Pattern[str]]:
        return [_compile(pattern) for pattern in (self.official, *self.accepted)]


def _compile(pattern: str) -> re.Pattern[str]:
    text = pattern.replace("[", "(?:").replace("]", ")?")
    return re.compile(_PART.sub(r"(?P<\1>[1-9]\\d*|0)", text))
