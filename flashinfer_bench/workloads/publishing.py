"""Changes of a dataset as a pull request on the Hub: prepared here, sent on demand."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from flashinfer_bench.errors import AccessError, MissingRequirementError, UsageError

REPOSITORY = "flashinfer-ai/flashinfer-trace"


class Hub(Protocol):
    """The part of huggingface_hub's HfApi that is used."""

    def create_commit(self, repo_id: str, operations: Any, **options: Any) -> Any: ...


@dataclass(frozen=True)
class PullRequest:
    """What would be sent: files of a dataset, and why."""

    dataset: Path
    files: tuple[Path, ...]
    title: str
    body: str
    branch: str
    """Name of the work; the Hub numbers pull requests itself."""
    repository: str = REPOSITORY

    @property
    def command(self) -> str:
        """Sends the same by hand, for all of the dataset."""
        words = ["hf", "upload", self.repository, str(self.dataset), "--repo-type", "dataset"]
        words += ["--create-pr", "--commit-message", self.title]
        return shlex.join(words)


def prepare(
    dataset: Path,
    files: Sequence[Path],
    summary: str,
    *,
    model: str,
    title: str | None = None,
    branch: str | None = None,
) -> PullRequest:
    """A pull request of files inside a dataset; UsageError where one is not inside."""
    inside = tuple(sorted({_inside(dataset, file) for file in files}))
    told = [f"Workloads of {model}.", "", "```text", summary, "```", "", "Files:"]
    body = "\n".join([*told, *(f"- `{it.as_posix()}`" for it in inside), ""])
    name = branch or f"workloads-{model.rpartition('/')[2].lower()}"
    return PullRequest(dataset, inside, title or f"Add workloads of {model}", body, name)


def send(request: PullRequest, hub: Hub | None = None, token: str | None = None) -> str:
    """Opens it, in one commit, and gives its address.

    Raises AccessError without a login or where the Hub refuses, MissingRequirementError without
    huggingface_hub.
    """
    try:
        from huggingface_hub import CommitOperationAdd, HfApi, get_token
    except ImportError as error:
        raise MissingRequirementError(
            'huggingface_hub is not installed; pip install "flashinfer-bench[models]"'
        ) from error
    known = token or get_token()
    if not known:
        raise AccessError(
            "no login on the Hub, so nothing was sent; `hf auth login`, or set HF_TOKEN"
        )
    operations = [CommitOperationAdd(it.as_posix(), request.dataset / it) for it in request.files]
    api: Any = hub or HfApi(token=known)
    try:
        done = api.create_commit(
            request.repository,
            operations,
            repo_type="dataset",
            commit_message=request.title,
            commit_description=request.body,
            create_pr=True,
        )
    except Exception as error:  # which one depends on the HTTP library of huggingface_hub
        what = " ".join(str(error).split()) or type(error).__name__
        raise AccessError(f"the Hub took nothing: {what}; the files are in the dataset") from error
    return str(getattr(done, "pr_url", None) or done)


def _inside(dataset: Path, file: Path) -> Path:
    try:
        return file.resolve().relative_to(dataset.resolve())
    except ValueError as error:
        raise UsageError(f"{file} is not inside of {dataset}") from error


__all__ = ["REPOSITORY", "Hub", "PullRequest", "prepare", "send"]
