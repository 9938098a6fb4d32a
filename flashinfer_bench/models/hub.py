"""A model's config.json, wherever it is: a file, the Hub's cache, the Hub, or our table.

Nothing here waits long for a network: after `timeout` seconds the next source is asked, and the
result says where it came from.
"""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from flashinfer_bench.errors import AccessError, DataError, MissingRequirementError, NotFoundError
from flashinfer_bench.models.known import KnownModel, close_names, find_known

Source = Literal["file", "cache", "hub", "table"]
TIMEOUT = 3.0
"""Seconds that the Hub is given to answer."""
_PREFIX = re.compile(r"^(?:(?:https?://)?(?:www\.)?(?:huggingface\.co|hf\.co)/|hf://)(?:models/)?")
_TAIL = re.compile(r"/(?:tree|blob|resolve)/(?P<revision>[^/?#]+)(?:/.*)?$")
_REPOSITORY = re.compile(r"\w[\w.-]*(?:/\w[\w.-]*)?")
_COMMIT = re.compile(r"/snapshots/(?P<commit>[0-9a-f]{40})/")


@dataclass(frozen=True)
class HubConfig:
    """A config.json and where it came from."""

    model_id: str
    """Repository on the Hub; of a local file the name of its folder, or of the file."""
    config: dict[str, Any]
    source: Source
    place: str
    """Path or address that was read."""
    revision: str | None = None
    """Commit of the repository, where it is known."""
    notes: list[str] = field(default_factory=list)
    """What a reader should know, e.g. that another name was meant."""


def read_config(
    name: str, *, revision: str | None = None, offline: bool | None = None, timeout: float = TIMEOUT
) -> HubConfig:
    """The configuration of a repository id, an address on the Hub, a short name or a local path.

    In this order: local file, the Hub's cache, the Hub (unless `offline`; None asks
    HF_HUB_OFFLINE), the table of known models. Raises NotFoundError (no such model), AccessError
    (network or login needed), DataError (malformed), MissingRequirementError (needs
    huggingface_hub).
    """
    local = _local_file(name)
    if local is not None:
        return _from_file(local)
    repository, stated = parse_name(name)
    known = find_known(repository)
    notes: list[str] = []
    if known is not None and "/" not in repository:
        notes.append(f"{repository!r} is taken for {known.model_id}")
        repository = known.model_id
    lookup = _Lookup(revision or stated, _is_offline(offline), timeout)
    found = lookup.read(repository)
    if found is None and known is not None and known.model_id.lower() != repository.lower():
        notes.append(f"{repository!r} is taken for {known.model_id}: {lookup.failure}")
        found = lookup.read(known.model_id)
    if found is not None:
        return HubConfig(**{**vars(found), "notes": [*notes, *found.notes]})
    if known is None:
        raise _no_config(repository, lookup.failure)
    return _from_table(known, [*notes, f"from our table as of {known.as_of}: {lookup.failure}"])


def parse_name(name: str) -> tuple[str, str | None]:
    """Repository and revision of an id, `id@revision` or an address; NotFoundError if neither."""
    text = _PREFIX.sub("", name.strip()).rstrip("/")
    tail = _TAIL.search(text)
    revision = tail["revision"] if tail else None
    text = _TAIL.sub("", text)
    text, _, after = text.partition("@")
    if not _REPOSITORY.fullmatch(text):
        raise NotFoundError(
            f"{name!r} is no model; give a repository id such as Qwen/Qwen3-8B, a short name or "
            "the path of a config.json"
        )
    return text, after or revision


def _local_file(name: str) -> Path | None:
    """The config.json that a path means; None where it is no path."""
    path = Path(name).expanduser()
    if path.is_dir():
        if not (path / "config.json").is_file():
            if _REPOSITORY.fullmatch(name):
                return None  # a folder that happens to be called like a model
            raise NotFoundError(f"{path}: no config.json in this folder")
        return path / "config.json"
    if path.is_file():
        return path
    if path.suffix == ".json" or path.is_absolute() or name.startswith(("./", "../", "~")):
        raise NotFoundError(f"{path}: no such file; expected a config.json or a folder with one")
    return None


def _from_file(path: Path) -> HubConfig:
    name = path.resolve().parent.name if path.name == "config.json" else path.stem
    return HubConfig(name, load_json(path), "file", str(path))


def _from_table(model: KnownModel, notes: list[str]) -> HubConfig:
    config = json.loads(json.dumps(model.config))
    return HubConfig(model.model_id, config, "table", "known_models.jsonl", None, notes)


def load_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file; DataError where it holds something else."""
    try:
        found = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not JSON ({error}); expected a JSON object") from error
    except OSError as error:
        raise NotFoundError(f"{path}: cannot be read ({error.strerror})") from error
    if not isinstance(found, dict):
        raise DataError(f"{path}: holds a {type(found).__name__}; expected a JSON object")
    return found


def _is_offline(offline: bool | None) -> bool:
    if offline is not None:
        return offline
    return os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "on", "yes", "true")


class _Lookup:
    """One search of cache and Hub; remembers why it found nothing."""

    def __init__(self, revision: str | None, offline: bool, timeout: float) -> None:
        self.revision, self.offline, self.timeout = revision, offline, timeout
        self.failure: Exception = NotFoundError("not asked for")

    def read(self, repository: str) -> HubConfig | None:
        """None where it is neither in the cache nor, unless offline, on the Hub."""
        try:
            return self._cached(repository) or self._from_hub(repository)
        except (NotFoundError, AccessError, MissingRequirementError) as failure:
            self.failure = failure
            return None

    def _cached(self, repository: str) -> HubConfig | None:
        try:
            if self.offline and not _hub_folder(repository).is_dir():
                raise AccessError("offline, and not in the Hub's cache")
            from huggingface_hub import errors, try_to_load_from_cache
        except ImportError as error:
            raise MissingRequirementError("huggingface_hub is not installed") from error
        try:
            cached = try_to_load_from_cache(repository, "config.json", revision=self.revision)
        except errors.HFValidationError as error:
            raise NotFoundError(f"the Hub has no names like {repository!r}") from error
        return _downloaded(repository, cached, "cache") if isinstance(cached, str) else None

    def _from_hub(self, repository: str) -> HubConfig:
        from huggingface_hub import errors

        if self.offline:
            raise AccessError("offline, and not in the Hub's cache")
        try:
            path = _within(self.timeout, lambda: self._download(repository))
        except errors.GatedRepoError as error:
            raise AccessError(f"{repository} is gated; `hf auth login` first") from error
        except errors.RepositoryNotFoundError as error:
            raise NotFoundError(f"the Hub has no {repository}, or hides it") from error
        except (errors.RevisionNotFoundError, errors.EntryNotFoundError) as error:
            what = f"config.json at revision {self.revision or 'main'}"
            raise NotFoundError(f"{repository} has no {what}") from error
        except Exception as error:  # which one depends on the HTTP library of huggingface_hub
            raise AccessError(f"the Hub did not answer ({type(error).__name__})") from error
        return _downloaded(repository, path, "hub")

    def _download(self, repository: str) -> str:
        """Path in the cache; asks before, as the download would try again for long."""
        from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url

        url = hf_hub_url(repository, "config.json", revision=self.revision)
        get_hf_file_metadata(url, timeout=self.timeout)
        return hf_hub_download(repository, "config.json", revision=self.revision)


def _hub_folder(repository: str) -> Path:
    """Where huggingface_hub keeps a repository; asks only the part of it that loads fast."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE, f"models--{repository.replace('/', '--')}")


def _downloaded(repository: str, path: str, source: Source) -> HubConfig:
    commit = _COMMIT.search(Path(path).as_posix())
    revision = commit["commit"] if commit else None
    return HubConfig(repository, load_json(Path(path)), source, path, revision)


def _no_config(name: str, failure: Exception) -> Exception:
    """The failure, with what to do next."""
    close = close_names(name)
    hint = f"; known without a network: {', '.join(close)}" if close else ""
    return type(failure)(f"no config of {name!r}: {failure}; give the path of one{hint}")


def _within(seconds: float, work: Callable[[], str]) -> str:
    """What `work` returns or raises; TimeoutError if it takes longer, as looking up a host may."""
    done: list[Callable[[], str]] = []

    def run() -> None:
        try:
            result = work()
        except BaseException as error:
            done.append(lambda error=error: _raise(error))  # type: ignore[misc]
        else:
            done.append(lambda: result)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if not done:
        raise TimeoutError(f"no answer within {seconds:g} s")
    return done[0]()


def _raise(error: BaseException) -> str:
    raise error


__all__ = ["TIMEOUT", "HubConfig", "Source", "load_json", "parse_name", "read_config"]
