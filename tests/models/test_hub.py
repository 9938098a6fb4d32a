"""Where a model's config.json comes from, with a Hub on this machine that answers as told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from flashinfer_bench.errors import AccessError, DataError, NotFoundError
from flashinfer_bench.models.hub import parse_name, read_config

COMMIT = "0123456789abcdef0123456789abcdef01234567"
CONFIG = {"architectures": ["LlamaForCausalLM"], "hidden_size": 64}
READ = """
import json, sys
from flashinfer_bench.errors import FlashInferBenchError
from flashinfer_bench.models.hub import read_config
try:
    found = read_config(sys.argv[1], timeout=1.0, **json.loads(sys.argv[2]))
    print(json.dumps(vars(found)))
except FlashInferBenchError as error:
    print(json.dumps({"error": type(error).__name__, "message": str(error)}))
"""


class Answers(BaseHTTPRequestHandler):
    """`there/*` has a config, `gated/*` wants a login, `slow/*` keeps silent, others are not."""

    def do_HEAD(self) -> None:
        self.answer(with_body=False)

    def do_GET(self) -> None:
        self.answer(with_body=True)

    def answer(self, with_body: bool) -> None:
        organisation = self.path.split("/")[1]
        if organisation == "slow":
            time.sleep(4)
        if organisation != "there" or "/resolve/gone/" in self.path:
            codes = {"gated": (403, "GatedRepo"), "there": (404, "RevisionNotFound")}
            status, reason = codes.get(organisation, (404, "RepoNotFound"))
            self.send_response(status)
            self.send_header("X-Error-Code", reason)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        body = b"{oops" if "broken" in self.path else json.dumps(CONFIG).encode()
        self.send_response(200)
        self.send_header("ETag", f'"{len(body)}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def log_message(self, *words: object) -> None:
        """Says nothing."""


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    pytest.importorskip("huggingface_hub")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


class Reader:
    """Reads in processes of their own, as the Hub's address is fixed at import."""

    def __init__(self, endpoint: str, home: Path) -> None:
        outer = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HUGGING"))}
        here = str(Path(__file__).parents[2])
        self.environment = {**outer, "HF_ENDPOINT": endpoint, "HF_HOME": str(home)}
        self.environment |= {"PYTHONPATH": here, "HF_HUB_DISABLE_XET": "1", "NO_PROXY": "*"}

    def __call__(self, name: str, **options: Any) -> dict[str, Any]:
        words = [sys.executable, "-c", READ, name, json.dumps(options)]
        done = subprocess.run(
            words, env=self.environment, capture_output=True, text=True, timeout=60, check=True
        )
        result: dict[str, Any] = json.loads(done.stdout)
        return result


@pytest.fixture
def read(endpoint: str, tmp_path: Path) -> Reader:
    return Reader(endpoint, tmp_path / "home")


def test_the_hub_then_its_cache(read: Reader) -> None:
    first = read("there/model")
    assert first["config"] == CONFIG
    assert (first["source"], first["revision"], first["notes"]) == ("hub", COMMIT, [])
    again = read("there/model", offline=True)
    assert (again["source"], again["revision"], again["config"]) == ("cache", COMMIT, CONFIG)


def test_an_address_with_a_revision(read: Reader) -> None:
    found = read(f"https://huggingface.co/there/model/tree/{COMMIT}")
    assert (found["model_id"], found["revision"]) == ("there/model", COMMIT)
    missing = read("there/model@gone")
    assert missing["error"] == "NotFoundError"
    assert "revision gone" in missing["message"]


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("gated/model", "AccessError", "gated; `hf auth login`"),
        ("nobody/model", "NotFoundError", "the Hub has no nobody/model"),
        ("there/broken", "DataError", "not JSON"),
        ("slow/model", "AccessError", "did not answer"),
    ],
)
def test_failures_say_what_to_do(read: Reader, name: str, error: str, words: str) -> None:
    found = read(name)
    assert found["error"] == error
    assert words in found["message"]
    assert "\n" not in found["message"]


def test_a_silent_hub_is_not_waited_for(endpoint: str, tmp_path: Path) -> None:
    reader = Reader(endpoint, tmp_path)
    begin = time.monotonic()
    reader("there/model")
    quick = time.monotonic() - begin
    begin = time.monotonic()
    reader("slow/model")
    assert time.monotonic() - begin < quick + 3


def test_names_that_the_hub_does_not_know_are_looked_up_in_the_table(read: Reader) -> None:
    found = read("moonshot-ai/kimi-k2")
    assert (found["model_id"], found["source"]) == ("moonshotai/Kimi-K2-Instruct", "table")
    assert found["config"]["num_hidden_layers"] == 61
    assert "'moonshot-ai/kimi-k2' is taken for moonshotai/Kimi-K2-Instruct" in found["notes"][0]
    assert "from our table as of 2026-" in found["notes"][1]


def test_known_models_need_no_hub(endpoint: str, tmp_path: Path) -> None:
    reader = Reader("http://127.0.0.1:9", tmp_path)
    for options in ({}, {"offline": True}):
        found = reader("deepseek-v3", **options)
        assert (found["model_id"], found["source"]) == ("deepseek-ai/DeepSeek-V3", "table")
    unknown = reader("nobody/llama-3.1-9b")
    assert unknown["error"] == "AccessError"
    assert "known without a network: llama-3.1-8b" in unknown["message"]


def test_local_files_come_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "kimi-k2"
    folder.mkdir()
    monkeypatch.chdir(tmp_path)
    assert read_config("kimi-k2", offline=True).source == "table", "a folder without a config"
    (folder / "config.json").write_text(json.dumps(CONFIG))
    for name in ("kimi-k2", str(folder), str(folder / "config.json")):
        found = read_config(name, offline=True)
        assert (found.model_id, found.source, found.config) == ("kimi-k2", "file", CONFIG)
    (tmp_path / "my-model.json").write_text(json.dumps(CONFIG))
    assert read_config("my-model.json").model_id == "my-model"


@pytest.mark.parametrize(
    ("content", "error", "words"),
    [
        ("{", DataError, "not JSON"),
        ("[1]", DataError, "holds a list; expected a JSON object"),
        (None, NotFoundError, "no such file"),
    ],
)
def test_malformed_files(
    tmp_path: Path, content: str | None, error: type[Exception], words: str
) -> None:
    path = tmp_path / "config.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(error, match=words):
        read_config(str(path))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Qwen/Qwen3-8B", ("Qwen/Qwen3-8B", None)),
        ("Qwen/Qwen3-8B@main", ("Qwen/Qwen3-8B", "main")),
        ("https://huggingface.co/Qwen/Qwen3-8B", ("Qwen/Qwen3-8B", None)),
        ("huggingface.co/Qwen/Qwen3-8B/", ("Qwen/Qwen3-8B", None)),
        ("hf.co/Qwen/Qwen3-8B/blob/v1/config.json", ("Qwen/Qwen3-8B", "v1")),
        ("hf://Qwen/Qwen3-8B", ("Qwen/Qwen3-8B", None)),
        ("kimi-k2", ("kimi-k2", None)),
    ],
)
def test_names(name: str, expected: tuple[str, str | None]) -> None:
    assert parse_name(name) == expected


@pytest.mark.parametrize("name", ["", "a/b/c", "a b", "https://example.com/a/b", "-/"])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises((NotFoundError, AccessError)):
        read_config(name, offline=True)
