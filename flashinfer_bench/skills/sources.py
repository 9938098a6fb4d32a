"""Parameters that several skills share, and the model that they mean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field

from flashinfer_bench.env import dataset_path
from flashinfer_bench.errors import NotFoundError
from flashinfer_bench.models.extraction import ExtractedModel, extract_model
from flashinfer_bench.models.sglang.source import SglangSource, find_sglang
from flashinfer_bench.skills.contract import Params

_SERVING = ("gpu", "tp", "ep", "attention_backend", "moe_runner", "page_size")


class SourceParams(Params):
    """Where a model's configuration and source are read, and how it is served."""

    sglang_path: str | None = Field(
        None,
        description="checkout, unpacked wheel or wheel of SGLang; without it ./sglang, an "
        "installed one, the cache or the package index",
    )
    sglang_version: str | None = Field(
        None, description="version to take from the cache or the package index"
    )
    transformers_path: str | None = Field(
        None, description="the same of transformers, whose config classes hold defaults"
    )
    revision: str | None = Field(None, description="branch, tag or commit of the repository")
    offline: bool = Field(False, description="ask no network")
    architecture: str | None = Field(
        None, description="class to take instead of the configuration's own"
    )
    gpu: str | None = Field(None, description="a100, h100, h200 or b200; without it h200")
    tp: int | None = Field(
        None, ge=1, description="tensor-parallel ranks; without it the fewest that fit"
    )
    ep: int | None = Field(
        None,
        ge=1,
        description="expert-parallel ranks; without it all of them where there are experts",
    )
    attention_backend: str | None = Field(None, description="as SGLang's flag of that name")
    moe_runner: str | None = Field(None, description="as SGLang's --moe-runner-backend")
    page_size: int | None = Field(None, ge=1, description="tokens in a page of the KV cache")


def extracted(params: SourceParams, name: str, *, use_sglang: bool = True) -> ExtractedModel:
    """The model of a repository id, short name or path, as the parameters say."""
    serving: dict[str, Any] = {it: getattr(params, it) for it in _SERVING}
    if serving["gpu"]:
        serving["gpu"] = serving["gpu"].lower()
    return extract_model(
        name,
        sglang_path=params.sglang_path,
        sglang_version=params.sglang_version,
        transformers_path=params.transformers_path,
        revision=params.revision,
        offline=params.offline or None,
        architecture=params.architecture,
        use_sglang=use_sglang,
        **serving,
    )


def source_of(params: SourceParams) -> SglangSource:
    """SGLang's source, as the parameters say."""
    return find_sglang(params.sglang_path, version=params.sglang_version, offline=params.offline)


def dataset_of(stated: str | None = None) -> Path:
    """The dataset whose definitions exist: the one stated, the checkout's, the user's."""
    if stated:
        if not Path(stated).is_dir():
            raise NotFoundError(f"{stated}: no such folder; give the folder of a dataset")
        return Path(stated)
    root = checkout()
    return root / "flashinfer_trace" if root else dataset_path()


def checkout() -> Path | None:
    """The checkout of this project that the current folder lies in."""
    here = Path.cwd().resolve()
    for folder in (here, *here.parents):
        if (folder / "web" / "apps" / "web" / "data" / "types.ts").is_file():
            return folder
    return None


__all__ = ["SourceParams", "checkout", "dataset_of", "extracted", "source_of"]
