from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from pydantic import ValidationError
from records import solution_data, spec_data, without

from flashinfer_bench.data import (
    BuildSpec,
    Solution,
    SourceFile,
    SupportedBindings,
    SupportedLanguages,
)
from flashinfer_bench.data.base import unknown_keys


def parse(**changes) -> Solution:
    return Solution.model_validate_json(json.dumps(solution_data(**changes)))


def with_spec(**changes) -> Solution:
    return parse(spec=spec_data(**changes))


def source(path: str, content: str = "x\n") -> dict[str, str]:
    return {"path": path, "content": content}


def test_fields_and_defaults():
    solution = parse()
    assert solution.spec.language is SupportedLanguages.PYTHON
    assert solution.spec.destination_passing_style is True
    assert (solution.spec.binding, solution.spec.dependencies) == (None, [])
    assert solution.description is None
    assert str(SupportedLanguages.CUDA) == "cuda"
    assert str(SupportedBindings.TVM_FFI) == "tvm-ffi"


@pytest.mark.parametrize("key", ["name", "definition", "author", "spec", "sources"])
def test_required_fields(key):
    with pytest.raises(ValidationError, match=key):
        Solution.model_validate(without(solution_data(), key))


@pytest.mark.parametrize("key", ["language", "target_hardware", "entry_point"])
def test_required_fields_of_the_spec(key):
    with pytest.raises(ValidationError, match=key):
        BuildSpec.model_validate(without(spec_data(), key))


@pytest.mark.parametrize("language", ["python", "triton", "cpp", "cuda", "tilelang"])
@pytest.mark.parametrize("binding", [None, "tvm-ffi", "torch"])
def test_languages_and_bindings(language, binding):
    spec = with_spec(language=language, binding=binding).spec
    assert spec.language.value == language
    assert spec.binding == (SupportedBindings(binding) if binding else None)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": ""}, "name"),
        ({"definition": ""}, "definition"),
        ({"author": ""}, "author"),
        ({"sources": []}, "at least one source file"),
        ({"sources": [source("")]}, "path"),
        ({"sources": [source("main.py", "")]}, "content"),
        ({"sources": [source("main.py"), source("main.py")]}, "path given twice: main.py"),
        ({"sources": [source("other.py")]}, "'main.py::run' is not among sources: other.py"),
        ({"sources": [source("/main.py")]}, "leaves the solution's folder"),
        ({"sources": [source("../main.py")]}, "leaves the solution's folder"),
        ({"sources": [source("a/../main.py")]}, "leaves the solution's folder"),
        ({"sources": [source("a\\..\\..\\main.py")]}, "leaves the solution's folder"),
        ({"sources": [source("C:\\main.py")]}, "leaves the solution's folder"),
        ({"spec": spec_data(language="cutedsl")}, "language"),
        ({"spec": spec_data(language=["python"])}, "language"),
        ({"spec": spec_data(binding="pybind")}, "binding"),
        ({"spec": spec_data(target_hardware=[])}, "at least one target"),
        ({"spec": spec_data(target_hardware=[""])}, "target_hardware"),
        ({"spec": spec_data(target_hardware="cpu")}, "target_hardware"),
        ({"spec": spec_data(dependencies=[""])}, "dependencies"),
        ({"spec": spec_data(entry_point="main.py")}, "not of the form file::function"),
        ({"spec": spec_data(entry_point="main.py:run")}, "not of the form file::function"),
        ({"spec": spec_data(entry_point="main.py::a::b")}, "not of the form file::function"),
        ({"spec": spec_data(entry_point="::run")}, "not of the form file::function"),
        ({"spec": spec_data(entry_point="main.py::")}, "not of the form file::function"),
        ({"spec": spec_data(destination_passing_style="maybe")}, "destination_passing_style"),
    ],
)
def test_refused(changes, message):
    with pytest.raises(ValidationError) as caught:
        parse(**changes)
    assert message in str(caught.value)


@pytest.mark.parametrize("path", ["main.py", "src/main.py", "..main.py", "a b.py", "ключ.py"])
def test_paths_inside_the_folder(path):
    solution = parse(sources=[source(path)], spec=spec_data(entry_point=f"{path}::run"))
    assert solution.get_entry_path() == Path(path)


def test_one_file_by_two_spellings_is_refused():
    with pytest.raises(ValidationError):
        parse(sources=[source("main.py"), source("./main.py", "other\n")])


def test_entry_point():
    solution = parse(
        sources=[source("helper.py"), source("./src/main.cu", "code\n")],
        spec=spec_data(entry_point="src/main.cu::launch", language="cuda"),
    )
    assert solution.get_entry_path() == Path("src/main.cu")
    assert solution.get_entry_symbol() == "launch"
    assert solution.get_entry_source() == SourceFile(path="./src/main.cu", content="code\n")


@pytest.mark.parametrize("name", ["name", "spec", "sources"])
def test_solutions_are_frozen(name):
    with pytest.raises(ValidationError, match="frozen"):
        setattr(parse(), name, "other")
    with pytest.raises(ValidationError, match="frozen"):
        parse().spec.entry_point = "other.py::run"
    with pytest.raises(ValidationError, match="frozen"):
        parse().sources[0].content = "other"


def test_unknown_keys_survive_at_every_level():
    data = solution_data(licence="MIT", spec=spec_data(flags=["-O3"], binding=None))
    data["sources"][0]["mode"] = "0644"
    solution = Solution.model_validate_json(json.dumps(data))
    assert json.loads(solution.model_dump_json(exclude_unset=True)) == data
    assert sorted(unknown_keys(solution)) == ["licence", "sources[0].mode", "spec.flags"]


def test_hash_is_the_public_one():
    solution = parse(
        spec=spec_data(language="cuda", binding="torch", dependencies=["a", "b"]),
        sources=[source("main.py", "one\n"), source("é.py", "two\n")],
    )
    text = "gemm_n8_k4cudamain.py::runtorchabmain.pyone\né.pytwo\n"
    assert solution.hash() == hashlib.sha1(text.encode()).hexdigest()
    plain = "gemm_n8_k4pythonmain.py::runmain.pydef run(A, B, scale): ...\n"
    assert parse().hash() == hashlib.sha1(plain.encode()).hexdigest()


# What the public hash and our digest say about two solutions: (changes, hash differs, digest too).
SEEN = [
    ({"definition": "other"}, True, True),
    ({"spec": spec_data(language="triton")}, True, True),
    ({"spec": spec_data(entry_point="main.py::go")}, True, True),
    ({"spec": spec_data(binding="torch")}, True, True),
    ({"spec": spec_data(dependencies=["numpy"])}, True, True),
    ({"sources": [source("main.py", "other")]}, True, True),
    ({"sources": [*solution_data()["sources"], source("b.py")]}, True, True),
    ({"spec": spec_data(destination_passing_style=False)}, False, True),
    ({"spec": spec_data(target_hardware=["cuda"])}, False, True),
    ({"spec": spec_data(flags=["-O3"])}, False, True),
    ({"name": "other"}, False, False),
    ({"author": "other"}, False, False),
    ({"description": "other"}, False, False),
    ({"spec": spec_data(destination_passing_style=True)}, False, False),
    ({"spec": spec_data(binding=None, dependencies=[])}, False, False),
]


@pytest.mark.parametrize(("changes", "in_hash", "in_digest"), SEEN)
def test_what_hash_and_digest_see(changes, in_hash, in_digest):
    one, other = parse(), parse(**changes)
    assert (one.hash() != other.hash()) is in_hash
    assert (one != other) is in_hash
    assert (one.digest() != other.digest()) is in_digest


def test_hash_collides_where_texts_run_together():
    one = parse(sources=[source("main.py", "ab"), source("c", "d")])
    other = parse(sources=[source("main.py", "a"), source("b", "cd")])
    assert one.hash() == other.hash()
    assert one == other
    assert one.digest() != other.digest()


def test_digest_does_not_depend_on_the_order_of_sources():
    files = [source("main.py"), source("b.py", "y\n")]
    one, other = parse(sources=files), parse(sources=files[::-1])
    assert one.digest() == other.digest()
    assert one.hash() != other.hash()


def test_digest_of_any_text():
    texts = ["\0", "🙂", "\u2028", "\ufeff"]
    found = [parse(sources=[source("main.py", text)]) for text in texts]
    assert len({solution.digest() for solution in found}) == len(texts)
    assert len({solution.hash() for solution in found}) == len(texts)


def test_equality_is_usable_in_sets():
    assert len({parse(), parse(name="b"), parse(author="c")}) == 1
    assert len({parse(), parse(definition="d")}) == 2
    assert parse() != "torch_gemm"


def test_unique_name():
    solution = parse()
    unique = solution.with_unique_name()
    assert unique.name == f"torch_gemm_{solution.hash()[:8]}"
    assert solution.name == "torch_gemm"
    assert (unique.hash(), unique.digest()) == (solution.hash(), solution.digest())
    assert unique.with_unique_name().name.startswith(unique.name)
