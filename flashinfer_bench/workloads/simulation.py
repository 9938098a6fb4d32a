"""A small serving engine without a model: which tokens are computed together, and where they lie.

Requests wait, are admitted while there are pages, are prefilled in chunks, and then decode together
one token at a time; a turn of a conversation finds the pages of the turns before it. Pages are
taken from a pool that fragments as requests end.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from flashinfer_bench.workloads.conversations import Conversation

_REPLY = 8
"""Requests that come between an answer and the next turn."""


@dataclass(frozen=True)
class Engine:
    """What the simulated engine is set to."""

    page_size: int = 1
    pool_tokens: int = 16384
    max_requests: int = 32
    chunk: int = 2048
    """Tokens that one prefill step computes at most."""
    seed: int = 0

    @property
    def pages(self) -> int:
        return self.pool_tokens // self.page_size


@dataclass(frozen=True)
class Row:
    """One request in a step."""

    queries: int
    """Tokens that are computed."""
    length: int
    """Tokens in the cache when they are."""
    pages: tuple[int, ...]


@dataclass(frozen=True)
class Step:
    """One forward pass."""

    mode: Literal["prefill", "decode"]
    rows: tuple[Row, ...]

    @property
    def tokens(self) -> int:
        return sum(it.queries for it in self.rows)

    @property
    def has_prefix(self) -> bool:
        return any(it.length > it.queries for it in self.rows)


@dataclass
class _Request:
    turns: deque[tuple[int, int]]
    """Asked and answered tokens of the turns to come."""
    pages: list[int] = field(default_factory=list)
    length: int = 0
    """Tokens in the cache."""
    target: int = 0
    """Tokens in the cache when the prompt is computed."""
    left: int = 0
    """Tokens to answer."""

    @property
    def end(self) -> int:
        """Tokens in the cache when it is answered."""
        return max(self.length, self.target) + self.left


def simulate(conversations: Sequence[Conversation], engine: Engine) -> Iterator[Step]:
    """The forward passes that serve all conversations; the same ones for the same seed."""
    yield from _Serving(conversations, engine).steps()


class _Serving:
    def __init__(self, conversations: Sequence[Conversation], engine: Engine) -> None:
        self.engine, self.running = engine, list[_Request]()
        most = engine.pool_tokens // 4
        self.waiting: deque[_Request] = deque()
        for turns in conversations:
            rows = deque((min(it.asked, most), min(it.answered, most)) for it in turns)
            if sum(asked + answered for asked, answered in rows) <= 2 * most:
                self.waiting.append(_Request(rows))
        self.free = list(range(engine.pages))
        random.Random(engine.seed).shuffle(self.free)

    def steps(self) -> Iterator[Step]:
        while self.waiting or self.running:
            self._admit()
            prompts = [it for it in self.running if it.length < it.target]
            if prompts:
                yield self._prefill(prompts)
            else:
                yield self._decode()
            self._finish()

    def _admit(self) -> None:
        """Requests whose whole turn fits, so that none has to be stopped half-way."""
        promised = sum(self._pages_for(it.end) - len(it.pages) for it in self.running)
        while self.waiting and len(self.running) < self.engine.max_requests:
            request = self.waiting[0]
            asked, answered = request.turns[0]
            needed = self._pages_for(request.length + asked + answered) - len(request.pages)
            if not self._make_room(promised + needed, request):
                return
            self.waiting.popleft().turns.popleft()
            request.target, request.left = request.length + asked, answered
            promised += needed
            self.running.append(request)

    def _make_room(self, pages: int, request: _Request) -> bool:
        """Forgets what conversations hold that wait longest; False where that is not enough."""
        for it in reversed(self.waiting):
            if pages <= len(self.free):
                break
            if it is not request and it.pages:
                self.free += it.pages
                asked, answered = it.turns[0]
                it.turns[0] = (it.length + asked, answered)  # computed again
                it.pages, it.length = [], 0
        return pages <= len(self.free)

    def _prefill(self, prompts: Sequence[_Request]) -> Step:
        room, rows = self.engine.chunk, []
        for it in prompts:
            queries = min(room, it.target - it.length)
            if queries:
                rows.append(self._computed(it, queries))
                room -= queries
        return Step("prefill", tuple(rows))

    def _decode(self) -> Step:
        rows = []
        for it in self.running:
            it.left -= 1
            rows.append(self._computed(it, 1))
        return Step("decode", tuple(rows))

    def _computed(self, it: _Request, queries: int) -> Row:
        it.length += queries
        it.pages += [self.free.pop() for _ in range(self._pages_for(it.length) - len(it.pages))]
        return Row(queries, it.length, tuple(it.pages))

    def _finish(self) -> None:
        """Answered requests leave; a conversation that goes on keeps its pages and waits again."""
        for it in [it for it in self.running if it.length >= it.target and it.left <= 0]:
            self.running.remove(it)
            if it.turns:
                self.waiting.insert(_REPLY, it)  # people answer soon
            else:
                self.free += it.pages

    def _pages_for(self, tokens: int) -> int:
        return -(-tokens // self.engine.page_size)


__all__ = ["Engine", "Row", "Step", "simulate"]
