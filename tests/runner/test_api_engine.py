"""The engine `api`: the real tool loop of the anthropic package, answered from memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from flashinfer_bench.runner.main import main

anthropic = pytest.importorskip("anthropic", reason="the engine api needs anthropic")
httpx2 = pytest.importorskip("httpx2", reason="anthropic's transport")

Printed = pytest.CaptureFixture[str]
Answers = Callable[..., list[dict[str, Any]]]


def says(text: str, stop_reason: str = "end_turn") -> dict[str, Any]:
    return {"content": [{"type": "text", "text": text}], "stop_reason": stop_reason}


def calls(name: str = "write-a-word", **given: Any) -> dict[str, Any]:
    tool = {"type": "tool_use", "id": "tool_1", "name": name, "input": given}
    return {"content": [tool], "stop_reason": "tool_use"}


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Answers:
    """Replies that the model gives, in order; returns the requests that it gets."""

    def install(*replies: dict[str, Any], status: int = 200) -> list[dict[str, Any]]:
        requests: list[dict[str, Any]] = []

        def handler(request: Any) -> Any:
            requests.append(json.loads(request.content))
            usage = {"input_tokens": 1, "output_tokens": 1}
            reply = {"id": "m", "type": "message", "role": "assistant", "model": "m"}
            content = {**reply, "usage": usage, **replies[len(requests) - 1]}
            return httpx2.Response(status, json=content)

        def client() -> Any:
            transport = httpx2.MockTransport(handler)
            http_client = anthropic.DefaultHttpxClient(transport=transport)
            return anthropic.Anthropic(api_key="k", http_client=http_client, max_retries=0)

        monkeypatch.setattr("flashinfer_bench.runner.engines.api.make_client", client)
        monkeypatch.setenv("ANTHROPIC_API_KEY", "k")
        return requests

    return install


def run(*more: str) -> int:
    words = ["run", "write-a-word", "--word", "hello", "--engine", "api", *more]
    return main([*words, "--format", "json"])


def result_of(requests: Sequence[dict[str, Any]], i: int) -> dict[str, Any]:
    """The tool result that request `i` brings."""
    found: dict[str, Any] = requests[i]["messages"][-1]["content"][0]
    return found


def test_the_helper_as_a_tool(bundle: Path, answers: Answers, capsys: Printed) -> None:
    requests = answers(calls(word="hello"), says("Done."))
    assert run("--log", "log") == 0
    assert json.loads(capsys.readouterr().out)["engine"] == "api"
    assert Path("word.txt").read_text() == "hello"
    first = requests[0]
    assert first["model"] == "claude-opus-5-5"
    assert first["messages"] == [{"role": "user", "content": "/write-a-word --word hello"}]
    [system] = first["system"]
    assert "# Write a word" in system["text"]
    assert system["cache_control"] == {"type": "ephemeral"}
    tools = {it["name"]: it["input_schema"] for it in first["tools"]}
    assert tools["write-a-word"]["required"] == ["word"]
    files = tools["read_reference"]["properties"]["file"]["enum"]
    assert files == ["references/parameters.md"]
    assert len(requests[1]["messages"]) == 3
    assert len(Path("log").read_text().splitlines()) == 2


def test_references_are_read_and_no_other_file(
    bundle: Path, answers: Answers, capsys: Printed
) -> None:
    wanted, other = "references/parameters.md", "../../../etc/passwd"
    requests = answers(
        calls("read_reference", file=wanted),
        calls("read_reference", file=other),
        calls(word="hello"),
        says("Done."),
    )
    assert run() == 0
    assert "generated: parameters" in json.dumps(result_of(requests, 1))
    assert result_of(requests, 2)["is_error"]


def test_wrong_arguments_come_back_as_our_line_and_can_be_mended(
    bundle: Path, answers: Answers, capsys: Printed
) -> None:
    requests = answers(calls(wrod="x"), calls(word="hello"), says("Done."))
    assert run() == 0
    refused = result_of(requests, 1)
    assert refused["is_error"]
    assert "no parameter --wrod" in json.dumps(refused)


@pytest.mark.parametrize(
    ("replies", "more", "code", "told"),
    [
        ([says("All done, everything verified!")], [], 7, "never ran the helper"),
        ([calls(word="bad"), says("Done.")], [], 5, "the word is bad"),
        ([calls(word="absent"), says("Done.")], [], 3, "no word absent"),
        ([calls(word="hello"), calls(word="absent"), says("Done.")], [], 3, "no word absent"),
        ([calls(word="hello")], ["--max-turns", "1"], 7, "used up its turns"),
        ([says("I will", "max_tokens")], [], 7, "stopped by max_tokens"),
    ],
)
def test_success_is_never_taken_from_words(
    bundle: Path,
    answers: Answers,
    capsys: Printed,
    replies: list[dict[str, Any]],
    more: list[str],
    code: int,
    told: str,
) -> None:
    answers(*replies)
    assert run(*more) == code
    printed = capsys.readouterr()
    assert told in printed.err
    assert json.loads(printed.out)["status"] == "failed"


@pytest.mark.parametrize(("status", "code"), [(401, 4), (500, 7)])
def test_failures_of_the_service(
    bundle: Path, answers: Answers, capsys: Printed, status: int, code: int
) -> None:
    answers(says(""), status=status)
    assert run() == code


def test_without_a_key_it_says_what_to_do(
    bundle: Path, capsys: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    monkeypatch.delenv("ANTHROPIC_AUTH_TOKEN", raising=False)
    assert run() == 6
    assert "set ANTHROPIC_API_KEY or ANTHROPIC_AUTH_TOKEN" in capsys.readouterr().err


def test_without_the_package_it_says_what_to_install(
    bundle: Path, capsys: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flashinfer_bench.runner.engines.api.find_spec", lambda name: None)
    assert run() == 6
    assert "flashinfer-bench[agents]" in capsys.readouterr().err
