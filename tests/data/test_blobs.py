from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

from flashinfer_bench.data.blobs import StoredTensor, read_header
from flashinfer_bench.data.constraints import Unavailable, check_constraint
from flashinfer_bench.errors import DataError

torch = pytest.importorskip("torch", reason="stores torch tensors")
safetensors = pytest.importorskip("safetensors.torch", reason="writes the files to be read")

NUMBERS = torch.tensor([[0, 1, 2], [3, 4, 5]])
DECODED = ["float64", "float32", "float16", "int64", "int32", "int16", "int8", "bool"]
DECODED += ["uint64", "uint32", "uint16", "uint8"]
NOT_DECODED = ["bfloat16", "float8_e4m3fn", "float8_e5m2", "float8_e8m0fnu"]


def stored(tmp_path: Path, **tensors) -> dict[str, StoredTensor]:
    safetensors.save_file(tensors, tmp_path / "x.safetensors")
    return read_header(tmp_path / "x.safetensors")


def raw(path: Path, header: object, content: bytes = b"", length: int | None = None) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    size = len(text) if length is None else length
    path.write_bytes(struct.pack("<Q", size) + text + content)
    return path


def entry(dtype="I32", shape=(2,), offsets=(0, 8)) -> dict:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


@pytest.mark.parametrize("dtype", DECODED + NOT_DECODED)
def test_shapes_and_dtypes(tmp_path, dtype):
    values = NUMBERS.to(getattr(torch, dtype))
    tensor = stored(tmp_path, other=torch.zeros(3), x=values)["x"]
    assert (tensor.name, tensor.shape, tensor.ndim, len(tensor)) == ("x", (2, 3), 2, 2)
    assert tensor.dtype == dtype


@pytest.mark.parametrize("dtype", DECODED)
def test_values(tmp_path, dtype):
    values = NUMBERS.to(getattr(torch, dtype))
    tensor = stored(tmp_path, other=torch.zeros(3), x=values)["x"]
    for row in (0, 1, -1, -2):
        for column in (0, 2, -1):
            read = tensor[row][column].item()
            expected = values[row][column].item()
            assert (type(read), read) == (type(expected), expected)
    largest = 1 if dtype == "bool" else 5
    assert (tensor.max(), tensor.min(), tensor[0].max()) == (largest, 0, min(largest, 2))
    assert tensor.sum() == (5 if dtype == "bool" else 15)


@pytest.mark.parametrize("dtype", NOT_DECODED)
def test_dtypes_that_are_not_decoded(tmp_path, dtype):
    tensor = stored(tmp_path, x=NUMBERS.to(getattr(torch, dtype)))["x"]
    with pytest.raises(Unavailable, match=dtype):
        tensor[0][0].item()


def test_two_float4_values_share_a_byte(tmp_path):
    path = raw(tmp_path / "x", {"x": entry("F4", (3, 4), (0, 6))}, bytes(6))
    tensor = read_header(path)["x"]
    assert (tensor.dtype, tensor.shape) == ("float4_e2m1", (3, 4))
    assert tensor[2].offset == tensor.offset + 4


def test_negative_and_large_values(tmp_path):
    values = torch.tensor([-(2**63), -1, 2**63 - 1])
    tensor = stored(tmp_path, x=values)["x"]
    assert [tensor[i].item() for i in range(3)] == values.tolist()


def test_more_values_than_one_read_takes(tmp_path):
    values = torch.arange(100_000, dtype=torch.int32)
    tensor = stored(tmp_path, x=values)["x"]
    assert (tensor.max(), tensor.sum()) == (99_999, 99_999 * 50_000)
    assert tensor[-1].item() == 99_999


@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
def test_item_of_one_element(tmp_path, shape):
    assert stored(tmp_path, x=torch.full(shape, 7))["x"].item() == 7


def test_item_of_more_elements(tmp_path):
    with pytest.raises(ValueError, match="x has 6 elements"):
        stored(tmp_path, x=NUMBERS)["x"].item()


@pytest.mark.parametrize("index", [2, -3, 10**9])
def test_index_out_of_range(tmp_path, index):
    with pytest.raises(IndexError, match=f"index {index} of x, whose length is 2"):
        _ = stored(tmp_path, x=NUMBERS)["x"][index]


def test_a_tensor_without_dimensions_has_no_elements_to_index(tmp_path):
    with pytest.raises(IndexError):
        _ = stored(tmp_path, x=torch.tensor(3))["x"][0]


@pytest.mark.parametrize("index", [slice(None), slice(0, 1), (0, 1), True])
def test_slices_are_not_available(tmp_path, index):
    with pytest.raises(Unavailable, match="slices of x"):
        _ = stored(tmp_path, x=NUMBERS)["x"][index]


def test_empty_tensors(tmp_path):
    tensor = stored(tmp_path, x=torch.zeros(0, 3, dtype=torch.int32))["x"]
    assert (tensor.shape, len(tensor), tensor.sum()) == ((0, 3), 0, 0)
    with pytest.raises(IndexError):
        _ = tensor[-1]


@pytest.mark.parametrize(
    ("constraint", "holds"),
    [
        ("n == indptr[-1].item()", True),
        ("n - 1 == indptr[-1].item()", False),
        ("indptr.shape[0] == 4 and indptr.dtype == 'int32'", True),
        ("len(indptr) == 4 and indptr.ndim == 1 and indptr.numel() == 4", True),
        ("indptr.max() <= n and min(indptr) == 0", True),
        ("indptr[0] == 0", True),
        ("indptr[4] == 0", False),
        ("indptr[1:].min() > 0", None),
        ("scales.max() < 1", None),
        ("scales.shape[0] == 2", True),
    ],
)
def test_constraints_on_stored_tensors(tmp_path, constraint, holds):
    indptr = torch.tensor([0, 2, 5, 9], dtype=torch.int32)
    tensors = stored(tmp_path, indptr=indptr, scales=torch.zeros(2, dtype=torch.bfloat16))
    assert check_constraint(constraint, {"n": 9, **tensors}).holds is holds


def test_metadata_is_no_tensor(tmp_path):
    safetensors.save_file({"x": NUMBERS}, tmp_path / "x", metadata={"by": "test"})
    assert list(read_header(tmp_path / "x")) == ["x"]


def test_only_the_header_is_read(tmp_path):
    path = raw(tmp_path / "x", {"x": entry(shape=(2**30,), offsets=(0, 2**32))})
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size + 2**32)
    tensor = read_header(path)["x"]
    assert tensor[-1].item() == 0


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (b"{", "no JSON"),
        (b"\xff\xfe", "no JSON"),
        ([], "no JSON object"),
        ({"x": 3}, "entry of tensor 'x'"),
        ({"x": {"dtype": "I32", "shape": [2]}}, "data_offsets"),
        ({"x": entry(dtype="C64")}, "C64"),
        ({"x": entry(offsets=(0, 4, 8))}, "entry of tensor 'x'"),
        ({"x": entry(shape=("2",))}, "entry of tensor 'x'"),
        ({"x": entry(shape=(3,))}, "do not fit"),
        ({"x": entry(offsets=(8, 16))}, "do not fit"),
        ({"x": entry(offsets=(-8, 0))}, "do not fit"),
    ],
)
def test_broken_headers(tmp_path, header, message):
    path = raw(tmp_path / "x.safetensors", header, bytes(8))
    with pytest.raises(DataError, match=r"x\.safetensors: not a safetensors file") as caught:
        read_header(path)
    assert message in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"\x08", bytes(7), b"\xff" * 8, b"\xff" * 100])
def test_files_that_are_cut_short(tmp_path, content):
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    with pytest.raises(DataError, match="cut short"):
        read_header(path)


@pytest.mark.parametrize("cut", [0, 8, 12, 47])
def test_a_file_cut_after_its_header_was_read(tmp_path, cut):
    tensor = stored(tmp_path, x=NUMBERS)["x"]
    with tensor.file.open("r+b") as file:
        file.truncate(tensor.offset + cut)
    with pytest.raises(DataError, match="ends inside tensor 'x'"):
        tensor.sum()


def test_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_header(tmp_path / "x.safetensors")
