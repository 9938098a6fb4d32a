"""Values of TypeScript literals, without evaluating any code."""

from __future__ import annotations

import re
from typing import Any

from flashinfer_bench.models.typescript.tokens import Source, Token

_ESCAPE = re.compile(
    r"\\(?:x(?P<byte>[0-9a-fA-F]{2})|u(?P<unit>[0-9a-fA-F]{4})|u\{(?P<point>[0-9a-fA-F]+)\}"
    r"|(?P<digits>0(?![0-9]))|(?P<bad>[xu0-9])|(?P<line>\r\n|[\n\r\u2028\u2029])|(?P<other>.))"
)
_ESCAPED = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_WORDS = {"true": True, "false": False, "null": None}
_SURROGATE = re.compile("[\ud800-\udfff]")
_OLD_OCTAL = re.compile(r"0[0-9]")
_END = Token("end", "the end", -1)


class UnreadableError(Exception):
    """A value is not a plain literal; its text says what stands there instead."""


class _Undefined:
    """What `undefined` is: a key that is not there."""


def read_literal(source: Source, start: int, stop: int) -> Any:
    """The value of tokens `start` to `stop`; UnreadableError where they are no plain literal."""
    reader = _Reader(source, start, stop)
    value = reader.value()
    if reader.index < stop:
        raise reader.unexpected()
    return _plain(value)


def string_value(text: str) -> str:
    """What a string in quotes or backticks holds; UnreadableError for a bad escape in it."""
    inner = text[1:-1]
    if text[0] == "`":
        inner = inner.replace("\r\n", "\n").replace("\r", "\n")
    if "\\" in inner:
        inner = _ESCAPE.sub(_unescape, inner)
    if _SURROGATE.search(inner):
        try:
            return inner.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            raise UnreadableError("a string with half of a surrogate pair") from None
    return inner


def _unescape(match: re.Match[str]) -> str:
    kind = match.lastgroup
    text = match[kind or 0]
    if kind == "other":
        return _ESCAPED.get(text, text)
    if kind == "line":
        return ""
    if kind == "bad" or (kind == "point" and int(text, 16) > 0x10FFFF):
        raise UnreadableError(f"a string with the escape {match[0]}")
    return chr(int(text, 16))


def _number(text: str) -> int | float:
    try:
        if text[:2].lower() in ("0x", "0o", "0b"):
            return int(text, 0)
        if _OLD_OCTAL.match(text):
            raise ValueError
        return int(text) if text.replace("_", "").isdigit() else float(text)
    except ValueError:
        raise UnreadableError(f"the number {text[:40]}") from None


def _plain(value: Any) -> Any:
    return None if value is _Undefined else value


class _Reader:
    def __init__(self, source: Source, start: int, stop: int) -> None:
        self.source = source
        self.index = start
        self.stop = stop

    def value(self) -> Any:
        value = self._primary()
        while self.index < self.stop:
            token = self.source.tokens[self.index]
            if token.kind == "name" and token.text in ("as", "satisfies"):
                self.index += 1
                self._skip_type()
            elif token.text == "+" and isinstance(value, str):
                self.index += 1
                more = self._primary()
                if not isinstance(more, str):
                    raise UnreadableError("a sum")
                value += more
            elif token.text == "!":
                self.index += 1
            else:
                break
        return value

    def unexpected(self) -> UnreadableError:
        token = self._peek()
        line = f" in line {self.source.line(token.start)}" if token is not _END else ""
        return UnreadableError(f"{token.text[:40]!r}{line}, expected plain values")

    def _peek(self) -> Token:
        return self.source.tokens[self.index] if self.index < self.stop else _END

    def _primary(self) -> Any:
        token = self._peek()
        if token.kind == "string":
            self.index += 1
            return string_value(token.text)
        if token.kind == "number":
            self.index += 1
            return _number(token.text)
        if token.kind == "name":
            return self._word(token)
        if token.text in ("[", "{", "("):
            return self._bracketed(token.text)
        if token.text in ("-", "+"):
            self.index += 1
            if self._peek().kind != "number":
                raise self.unexpected()
            value = self._primary()
            return -value if token.text == "-" else value
        raise self.unexpected()

    def _word(self, token: Token) -> Any:
        if token.text == "undefined":
            self.index += 1
            return _Undefined
        if token.text not in _WORDS:
            raise self.unexpected()
        self.index += 1
        return _WORDS[token.text]

    def _bracketed(self, text: str) -> Any:
        close = self.source.closing[self.index]
        self.index += 1
        value: Any = None
        if text == "[":
            value = self._array(close)
        elif text == "{":
            value = self._object(close)
        else:
            value = self.value()
        if self.index != close:
            raise self.unexpected()
        self.index += 1
        return value

    def _array(self, close: int) -> list[Any]:
        items = []
        while self.index < close:
            items.append(_plain(self.value()))
            self._comma(close)
        return items

    def _object(self, close: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while self.index < close:
            key = self._key()
            if self._peek().text != ":":
                raise self.unexpected()
            self.index += 1
            value = self.value()
            if value is _Undefined:
                found.pop(key, None)
            else:
                found[key] = value
            self._comma(close)
        return found

    def _comma(self, close: int) -> None:
        if self.index == close:
            return
        if self._peek().text != ",":
            raise self.unexpected()
        self.index += 1

    def _key(self) -> str:
        token = self._peek()
        if token.text == "[":
            close = self.source.closing[self.index]
            self.index += 1
            key = self.value()
            if not isinstance(key, str) or self.index != close:
                raise UnreadableError("a computed key")
            self.index += 1
            return key
        if token.kind not in ("name", "string", "number") or token.text[0] == "`":
            raise self.unexpected()
        self.index += 1
        if token.kind == "string":
            return string_value(token.text)
        if token.kind == "number":
            number = _number(token.text)
            return str(int(number)) if number % 1 == 0 else str(number)
        return token.text

    def _skip_type(self) -> None:
        """Go past a type, up to the comma or bracket that ends the value."""
        angles = 0
        start = self.index
        while self.index < self.stop:
            token = self.source.tokens[self.index]
            if token.text in (")", "]", "}") or (token.text == "," and not angles):
                break
            if token.kind == "name" and token.text in ("as", "satisfies") and not angles:
                break
            angles += {"<": 1, ">": -1}.get(token.text, 0)
            self.index = self.source.closing.get(self.index, self.index) + 1
        if self.index == start:
            raise self.unexpected()


__all__ = ["UnreadableError", "read_literal", "string_value"]
