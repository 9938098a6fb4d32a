from __future__ import annotations

import copy
import json
import pickle

import pytest

from flashinfer_bench.data.lazy import LazyGroups


class Source:
    """Two groups, and what was asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def group_names(self) -> list[str]:
        self.asked.append("names")
        return ["a", "b"]

    def read_group(self, name: str) -> list[int]:
        self.asked.append(name)
        return {"a": [1, 2], "b": [3]}[name]


ALL = {"a": [1, 2], "b": [3]}


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def groups(source) -> LazyGroups[int]:
    return LazyGroups(source)


def test_nothing_is_read_before_it_is_asked_for(source, groups):
    assert isinstance(groups, dict)
    assert source.asked == []


@pytest.mark.parametrize(
    "question",
    [len, list, bool, "a".__eq__, lambda groups: "a" in groups, lambda groups: groups.keys()],
)
def test_questions_about_names_read_names_alone(source, groups, question):
    question(groups)
    assert set(source.asked) <= {"names"}


def test_names(groups):
    assert (list(groups), len(groups), bool(groups)) == (["a", "b"], 2, True)
    assert list(reversed(groups)) == ["b", "a"]
    assert "a" in groups
    assert "c" not in groups


def test_a_group_is_read_once(source, groups):
    assert groups["a"] == groups["a"] == [1, 2]
    assert groups["a"] is groups["a"]
    assert source.asked == ["names", "a"]
    assert groups.is_read("a")
    assert not groups.is_read("b")


def test_get(source, groups):
    assert groups.get("a") == [1, 2]
    assert groups.get("c") is None
    assert groups.get("c", []) == []
    with pytest.raises(KeyError, match="c"):
        _ = groups["c"]
    assert source.asked == ["names", "a"]


@pytest.mark.parametrize(
    "read",
    [
        dict,
        copy.copy,
        copy.deepcopy,
        lambda groups: {**groups},
        lambda groups: dict(groups.items()),
        lambda groups: dict(zip(groups.keys(), groups.values())),
        lambda groups: json.loads(json.dumps(groups)),
        lambda groups: pickle.loads(pickle.dumps(groups)),
        lambda groups: groups | {},
        lambda groups: {} | groups,
        lambda groups: eval(repr(groups)),
        lambda groups: {name: groups.pop(name) for name in list(groups)},
    ],
)
def test_whatever_copies_it_reads_it(groups, read):
    assert read(groups) == ALL


def test_copies_are_plain(groups):
    for copied in (groups.copy(), copy.copy(groups), groups | {}, {} | groups):
        assert type(copied) is dict


def test_equality_goes_by_content(groups):
    assert groups == dict(ALL)
    assert dict(ALL) == groups
    assert groups != {"a": [1, 2]}


def test_unions_prefer_the_right_side(groups):
    assert groups | {"a": [9]} == {"a": [9], "b": [3]}
    assert {"a": [9], "c": [8]} | groups == {**ALL, "c": [8]}


def test_what_was_set_is_not_read(source, groups):
    groups["a"] = [9]
    groups["c"] = [8]
    assert groups == {"a": [9], "b": [3], "c": [8]}
    assert "a" not in source.asked


def test_update_before_anything_else(source, groups):
    groups.update({"a": [9]}, c=[8])
    assert groups == {"a": [9], "b": [3], "c": [8]}
    assert source.asked == ["names", "b"]


def test_in_place_union(groups):
    groups |= {"a": [9], "c": [8]}
    assert groups == {"a": [9], "b": [3], "c": [8]}


def test_what_was_deleted_stays_away(source, groups):
    del groups["a"]
    assert groups == {"b": [3]}
    with pytest.raises(KeyError):
        del groups["a"]
    groups["a"] = [7]
    assert groups["a"] == [7]
    assert "a" not in source.asked


def test_setdefault_and_pop(groups):
    assert groups.setdefault("a", []) == [1, 2]
    assert groups.setdefault("c", [8]) == [8]
    assert groups.pop("a") == [1, 2]
    assert groups.pop("a", None) is None
    assert groups == {"b": [3], "c": [8]}


def test_clear(groups):
    groups.clear()
    assert groups == {}
    assert len(groups) == 0


def test_a_group_that_was_read_may_be_changed(groups):
    groups["a"].append(5)
    assert groups["a"] == [1, 2, 5]


def test_a_failed_read_is_tried_again(source, groups):
    attempts = iter([OSError("gone")])
    read = source.read_group

    def fails_once(name):
        for error in attempts:
            raise error
        return read(name)

    source.read_group = fails_once
    with pytest.raises(OSError, match="gone"):
        _ = groups["a"]
    assert not groups.is_read("a")
    assert groups["a"] == [1, 2]
