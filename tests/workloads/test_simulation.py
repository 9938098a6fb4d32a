"""Simulated serving: pages are never shared by two requests, and every token is computed once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flashinfer_bench.errors import DataError, NotFoundError
from flashinfer_bench.workloads.conversations import Conversation, Turn, read_conversations
from flashinfer_bench.workloads.simulation import Engine, Step, simulate

CHAT: list[Conversation] = [
    (Turn(30, 5), Turn(3, 9)),
    (Turn(700, 20),),
    (Turn(8, 40), Turn(10, 2), Turn(1, 1)),
] * 6
ENGINES = [
    Engine(),
    Engine(page_size=16, pool_tokens=4096, chunk=256),
    Engine(pool_tokens=3000, max_requests=3),
]


@pytest.mark.parametrize("engine", ENGINES)
def test_what_holds_in_every_step(engine: Engine) -> None:
    steps = list(simulate(CHAT, engine))
    for step in steps:
        pages = [page for row in step.rows for page in row.pages]
        assert len(pages) == len(set(pages)) and max(pages) < engine.pages
        assert 0 < len(step.rows) <= engine.max_requests
        assert step.tokens <= max(engine.chunk, engine.max_requests)
        for row in step.rows:
            assert len(row.pages) == -(-row.length // engine.page_size)
            assert row.queries == 1 or step.mode == "prefill"
    answered = sum(turn.answered for turns in CHAT for turn in turns)
    assert sum(it.tokens for it in steps if it.mode == "decode") == answered


def test_later_turns_find_their_prefix() -> None:
    steps = list(simulate(CHAT, ENGINES[0]))
    asked = sum(turn.asked for turns in CHAT for turn in turns)
    assert sum(it.tokens for it in steps if it.mode == "prefill") == asked  # nothing twice
    assert any(it.has_prefix for it in steps if it.mode == "prefill")


def test_long_prompts_come_in_chunks() -> None:
    engine = Engine(chunk=256)
    steps = list(simulate([(Turn(700, 1),)], engine))
    assert [(it.mode, it.tokens) for it in steps] == [
        ("prefill", 256), ("prefill", 256), ("prefill", 188), ("decode", 1),
    ]  # fmt: skip


def test_the_same_seed_gives_the_same_steps() -> None:
    def run(seed: int) -> list[Step]:
        return list(simulate(CHAT, Engine(seed=seed)))

    assert run(1) == run(1) and run(1) != run(2)


def test_conversations_of_both_forms(tmp_path: Path) -> None:
    rows = [
        {"conversations": [{"from": "human", "value": "x" * 40},
                           {"from": "gpt", "value": "y" * 8}]},
        {"messages": [{"role": "system", "content": "abcd"}, {"role": "user", "content": "abcd"},
                      {"role": "assistant", "content": "z" * 12}]},
        {"conversations": []},
    ]  # fmt: skip
    expected = [(Turn(10, 2),), (Turn(2, 3),)]
    (tmp_path / "list.json").write_text(json.dumps(rows))
    (tmp_path / "lines.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert read_conversations(tmp_path / "list.json") == expected
    assert read_conversations(tmp_path / "lines.jsonl") == expected
    assert len(read_conversations()) == 24


@pytest.mark.parametrize(
    ("text", "told"),
    [("{", "not JSON"), ('{"a": 1}', "entry 1 has no list"), ("[]", "no conversation")],
)
def test_other_files(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "file.json").write_text(text)
    with pytest.raises(DataError, match=told):
        read_conversations(tmp_path / "file.json")
    with pytest.raises(NotFoundError):
        read_conversations(tmp_path / "none.json")
