"""Where SGLang's source is found, and which architectures it lists; with a small SGLang."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import pytest

from flashinfer_bench.errors import AccessError, DataError, NotFoundError
from flashinfer_bench.models.sglang.index import read_architectures
from flashinfer_bench.models.sglang.source import find_sglang

FILES = {
    "__init__.py": "raise RuntimeError('nothing of SGLang is imported')\n",
    "srt/models/alpha.py": (
        "from torch import nn\n\n\nclass AlphaForCausalLM(nn.Module):\n    pass\n\n\n"
        "class AlphaForReward(AlphaForCausalLM):\n    pass\n\n\n"
        "EntryClass = [AlphaForCausalLM, AlphaForReward]\n"
    ),
    "srt/models/beta.py": "\ufeff# byte order mark\nclass BetaModel: ...\nEntryClass = BetaModel\n",
    "srt/models/gamma.py": (
        "from sglang.srt.models.gamma_parts.model import GammaForCausalLM as _Gamma\n"
        "from .gamma_parts import DeltaForCausalLM\n"
        "EntryClass = (_Gamma,)\nEntryClass += [DeltaForCausalLM]\n"
    ),
    "srt/models/gamma_parts/__init__.py": "from .model import DeltaForCausalLM\n",
    "srt/models/gamma_parts/model.py": (
        "class GammaForCausalLM: ...\n\n\nclass DeltaForCausalLM: ...\n\n\n"
        "EntryClass = []  # not a file of the registry\n"
    ),
    "srt/models/shadow.py": (
        "from sglang.srt.models.alpha import AlphaForReward\n\n\n"
        "class AlphaForReward(AlphaForReward): ...\n\n\n"
        "class ShadowForCausalLM(AlphaForReward): ...\n\n\nEntryClass = ShadowForCausalLM\n"
    ),
    "srt/models/utils.py": "from somewhere.else_ import EntryPoint\n\nhelper = EntryPoint\n",
}
NAMES = [
    *("AlphaForCausalLM", "AlphaForReward", "BetaModel"),
    *("DeltaForCausalLM", "GammaForCausalLM", "ShadowForCausalLM"),
]


def write_package(folder: Path) -> Path:
    for name, text in FILES.items():
        path = folder / "sglang" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder / "sglang"


def write_wheel(folder: Path, version: str = "9.9.9") -> Path:
    folder.mkdir(exist_ok=True)
    wheel = folder / f"sglang-{version}-py3-none-any.whl"
    info = f"sglang-{version}.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in FILES.items():
            archive.writestr(f"sglang/{name}", text)
        archive.writestr("sglang/kernel.so", b"large")
        archive.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: sglang\nVersion: {version}\n"
        )
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return wheel


@pytest.mark.parametrize("inside", [".", "sglang", "python/sglang"])
def test_checkouts_wheels_and_the_package_itself(tmp_path: Path, inside: str) -> None:
    parent = (tmp_path / inside).parent if inside != "." else tmp_path
    package = write_package(parent)
    source = find_sglang(package if inside == "." else tmp_path)
    assert source.package == package
    assert source.version is None
    assert list(read_architectures(source)) == NAMES


def test_metadata_beside_the_package_tells_the_version(tmp_path: Path) -> None:
    write_package(tmp_path)
    (tmp_path / "sglang-0.5.99.dist-info").mkdir()
    assert find_sglang(tmp_path).version == "0.5.99"


def test_a_wheel_is_unpacked_into_the_cache_once(tmp_path: Path) -> None:
    wheel = write_wheel(tmp_path)
    source = find_sglang(wheel)
    assert (source.version, source.package.name) == ("9.9.9", "sglang")
    assert not list(source.package.rglob("*.so"))
    assert list(read_architectures(source)) == NAMES
    wheel.unlink()
    assert find_sglang(version="9.9.9").package == source.package


def test_the_working_folder_comes_before_what_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = write_package(tmp_path / "site")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    found = find_sglang()
    assert (found.package, found.origin) == (installed, "installed package")
    checkout = write_package(tmp_path / "work" / "sglang" / "python")
    assert find_sglang().package == checkout
    assert "sglang" not in sys.modules


def test_what_is_nowhere_is_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_wheel(tmp_path / "links", "9.9.8")
    write_wheel(tmp_path / "links")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "links"))
    assert find_sglang(version="9.9.8").origin == "package index"
    assert find_sglang(version="9.9.9").version == "9.9.9"
    assert find_sglang().version == "9.9.9", "the newest of the cache"
    with pytest.raises(AccessError, match=r"sglang==1\.2\.3 cannot be downloaded .*--sglang-path"):
        find_sglang(version="1.2.3")


def test_other_paths_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no SGLang here"):
        find_sglang(tmp_path)
    broken = tmp_path / "sglang-1.0-py3-none-any.whl"
    broken.write_text("no zip")
    with pytest.raises(DataError, match="not a wheel"):
        find_sglang(broken)
    with zipfile.ZipFile(broken, "w") as archive:
        archive.writestr("other/__init__.py", "")
    with pytest.raises(DataError, match="no sglang/srt/models in it"):
        find_sglang(broken)
    assert not list(tmp_path.glob("unpacking-*"))


def test_architectures_say_where_their_class_is(tmp_path: Path) -> None:
    found = read_architectures(find_sglang(write_package(tmp_path)))
    gamma = found["GammaForCausalLM"]
    assert gamma.entry == "srt/models/gamma.py"
    assert (gamma.file, gamma.line) == ("srt/models/gamma_parts/model.py", 1)
    assert found["DeltaForCausalLM"].line == 4
    assert found["AlphaForReward"].file == "srt/models/alpha.py"


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    package = write_package(tmp_path)
    source = find_sglang(tmp_path)
    assert "NewForCausalLM" not in read_architectures(source)
    (package / "srt/models/new.py").write_text(
        "class NewForCausalLM: ...\nEntryClass = NewForCausalLM"
    )
    assert "NewForCausalLM" in read_architectures(source)


def test_a_broken_index_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIB_CACHE_PATH", str(tmp_path / "cache"))
    source = find_sglang(write_package(tmp_path))
    first = read_architectures(source)
    [cached] = (tmp_path / "cache").rglob("*.json")
    for content in ("{", "[1]", '[{"name": "x"}]'):
        cached.write_text(content)
        assert read_architectures(source) == first


@pytest.mark.slow
@pytest.mark.parametrize(("version", "count"), [("0.5.23", 290), ("0.5.13", 219), ("0.5.9", 178)])
def test_all_architectures_of_sglang(version: str, count: int) -> None:
    try:
        source = find_sglang(version=version)
    except AccessError as error:
        pytest.skip(str(error))
    assert len(read_architectures(source)) == count
