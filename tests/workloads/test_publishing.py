"""Pull requests of a dataset, against a Hub of our own."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("huggingface_hub")

from flashinfer_bench.errors import AccessError, UsageError
from flashinfer_bench.workloads.publishing import PullRequest, prepare, send


class FakeHub:
    def __init__(self, failure: Exception | None = None) -> None:
        self.failure, self.commits = failure, list[dict[str, Any]]()

    def create_commit(self, repo_id: str, operations: Any, **options: Any) -> Any:
        if self.failure:
            raise self.failure
        files = {it.path_in_repo: Path(it.path_or_fileobj).read_bytes() for it in operations}
        self.commits.append({"repository": repo_id, "files": files, **options})
        return SimpleNamespace(pr_url="https://hub/pr/7")


@pytest.fixture
def request_of_two(tmp_path: Path) -> PullRequest:
    files = [tmp_path / "workloads" / "gemm" / f"{it}.jsonl" for it in "ab"]
    files[0].parent.mkdir(parents=True)
    for file in files:
        file.write_text(file.stem)
    return prepare(tmp_path, [*files, files[0]], "a table", model="some/Model")


def test_one_commit_with_all_files(request_of_two: PullRequest) -> None:
    hub = FakeHub()
    assert send(request_of_two, hub, token="secret") == "https://hub/pr/7"
    (commit,) = hub.commits
    assert commit["files"] == {"workloads/gemm/a.jsonl": b"a", "workloads/gemm/b.jsonl": b"b"}
    assert commit["create_pr"] is True and commit["repo_type"] == "dataset"
    assert commit["repository"] == "flashinfer-ai/flashinfer-trace"
    assert commit["commit_message"] == "Add workloads of some/Model"
    assert "a table" in commit["commit_description"]
    assert "secret" not in str(commit)


def test_without_a_login_nothing_is_sent(
    request_of_two: PullRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    hub = FakeHub()
    with pytest.raises(AccessError, match="no login on the Hub"):
        send(request_of_two, hub)
    assert not hub.commits


def test_a_refusal_is_one_line(request_of_two: PullRequest) -> None:
    with pytest.raises(AccessError, match="the Hub took nothing: 403 not yours") as raised:
        send(request_of_two, FakeHub(OSError("403\n not yours")), token="x")
    assert "\n" not in str(raised.value)


def test_what_it_tells(request_of_two: PullRequest, tmp_path: Path) -> None:
    assert request_of_two.branch == "workloads-model"
    assert request_of_two.command.startswith("hf upload flashinfer-ai/flashinfer-trace")
    assert "--create-pr" in request_of_two.command
    named = prepare(tmp_path, [], "", model="m", title="It's mine", branch="b")
    assert (named.title, named.branch) == ("It's mine", "b") and "'It'" in named.command
    with pytest.raises(UsageError, match="is not inside"):
        prepare(tmp_path / "workloads", [tmp_path / "else"], "", model="m")
