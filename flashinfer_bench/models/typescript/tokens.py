"""TypeScript source as tokens, comments apart, with its brackets matched."""

from __future__ import annotations

import re
from bisect import bisect_right
from typing import NamedTuple

from flashinfer_bench.errors import DataError

MAX_DEPTH = 200
"""Brackets inside each other; far more than any tree needs, and safe for a recursive reader."""

_SPACE = r"\s\ufeff"
_TOKEN = re.compile(
    rf"""[{_SPACE}]*(?:
    (?P<comment>//[^\n\r\u2028\u2029]*|/\*[\s\S]*?\*/)
    |(?P<string>"[^"\\\n\r]*(?:\\(?:\r\n|[\s\S])[^"\\\n\r]*)*"
               |'[^'\\\n\r]*(?:\\(?:\r\n|[\s\S])[^'\\\n\r]*)*')
    |(?P<unclosed>/\*|["'])
    |(?P<number>0[xXoObB][0-9a-fA-F_]+
               |(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9][0-9_]*)(?:[eE][+-]?[0-9][0-9_]*)?)
    |(?P<name>[\w$]+)
    |(?P<mark>\.\.\.|=>|[=!]==?|[^{_SPACE}])
    )""",
    re.VERBOSE,
)
_TEMPLATE_PART = re.compile(r"[^`\\$]*(?:(?:\\[\s\S]|\$(?!\{))[^`\\$]*)*(`|\$\{)")
_REGEX = re.compile(r"/(?:[^\\/\[\n\r]|\\[^\n\r]|\[(?:[^\]\\\n\r]|\\[^\n\r])*\])+/\w*")
_LINE_BREAK = re.compile(r"\r\n|[\n\r]")
_CLOSING = {"(": ")", "[": "]", "{": "}", "${": "}"}
_BEFORE_A_REGEX = {"return", "typeof", "case", "in", "of", "void", "delete", "do", "else"}
_WHAT = {"/*": "comment", "`": "template", '"': "string", "'": "string"}


class Token(NamedTuple):
    kind: str
    """`name`, `string`, `number`, `mark`, `template` with `${}`, `regex` or `comment`."""
    text: str
    start: int

    @property
    def end(self) -> int:
        return self.start + len(self.text)


class _Opening(NamedTuple):
    text: str
    start: int
    """Where the bracket is; for `${` where its template begins."""
    token: int
    """Index of the bracket's token; for `${` of the token that its template will be."""


class Source:
    """A file's text with its tokens.

    Raises DataError, with a line, for what has no end, brackets that do not match, and brackets
    more than `MAX_DEPTH` deep.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens: list[Token] = []
        self.comments: list[Token] = []
        self.closing: dict[int, int] = {}
        """Index of a bracket's token to that of the bracket which closes it."""
        self._line_ends = [match.end() for match in _LINE_BREAK.finditer(text)]
        self._open: list[_Opening] = []
        self._scan()

    def line(self, position: int) -> int:
        """The number, from 1, of the line that `position` is on."""
        return bisect_right(self._line_ends, position) + 1

    def line_start(self, position: int) -> int:
        """Where the line of `position` begins."""
        before = bisect_right(self._line_ends, position)
        return self._line_ends[before - 1] if before else 0

    def indent(self, position: int) -> str | None:
        """The blanks before `position` on its line; None when something else is there too."""
        before = self.text[self.line_start(position) : position].removeprefix("\ufeff")
        return None if before.strip(" \t") else before

    def error(self, position: int, message: str) -> DataError:
        return DataError(f"line {self.line(position)}: {message}")

    def _scan(self) -> None:
        position = 0
        while match := _TOKEN.match(self.text, position):
            kind = match.lastgroup or ""
            token = Token(kind, match[kind], match.start(kind))
            position = match.end()
            if kind == "mark":
                position = self._mark(token)
            elif kind == "comment":
                self.comments.append(token)
            elif kind == "unclosed":
                raise self._endless(token.text, token.start)
            else:
                self.tokens.append(token)
        if self._open:
            last = self._open[-1]
            raise self._endless("`" if last.text == "${" else last.text, last.start)

    def _mark(self, token: Token) -> int:
        """Take a mark and all that belongs to it; where to go on."""
        if token.text == "`":
            return self._template(token.start, token.end, len(self.tokens))
        if token.text == "/" and self._may_be_regex():
            match = _REGEX.match(self.text, token.start)
            if match:
                token = Token("regex", match[0], token.start)
        elif token.text in _CLOSING:
            self._push(_Opening(token.text, token.start, len(self.tokens)))
        elif token.text in (")", "]", "}"):
            opening = self._pop(token)
            if opening.text == "${":
                return self._template(opening.start, token.end, opening.token)
            self.closing[opening.token] = len(self.tokens)
        self.tokens.append(token)
        return token.end

    def _template(self, start: int, position: int, index: int) -> int:
        """Go on, from `position`, in the template that begins at `start`; it becomes one token."""
        match = _TEMPLATE_PART.match(self.text, position)
        if match is None:
            raise self._endless("`", start)
        if match[1] == "${":
            self._push(_Opening("${", start, index))
            return match.end()
        del self.tokens[index:]
        while self.comments and self.comments[-1].start > start:
            self.comments.pop()
        kind = "string" if position == start + 1 else "template"
        self.tokens.append(Token(kind, self.text[start : match.end()], start))
        return match.end()

    def _push(self, opening: _Opening) -> None:
        self._open.append(opening)
        if len(self._open) > MAX_DEPTH:
            raise self.error(
                opening.start, f"more than {MAX_DEPTH} brackets inside each other; expected less"
            )

    def _pop(self, token: Token) -> _Opening:
        if not self._open or _CLOSING[self._open[-1].text] != token.text:
            wanted = f"expected {_CLOSING[self._open[-1].text]!r}" if self._open else "nothing open"
            raise self.error(token.start, f"{token.text!r} closes no bracket, {wanted}")
        return self._open.pop()

    def _may_be_regex(self) -> bool:
        if not self.tokens:
            return True
        last = self.tokens[-1]
        if last.kind == "name":
            return last.text in _BEFORE_A_REGEX
        return last.kind == "mark" and last.text not in (")", "]", "}")

    def _endless(self, text: str, start: int) -> DataError:
        what = _WHAT.get(text, f"bracket {text!r}")
        return self.error(start, f"the {what} that begins here has no end; close it")


__all__ = ["MAX_DEPTH", "Source", "Token"]
