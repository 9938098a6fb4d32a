"""Standings over all workloads, tried or not; every number worked out by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest
from records import result, trace_set

from flashinfer_bench.data import Standing, TraceSet
from flashinfer_bench.data.comparison import compare
from flashinfer_bench.data.index import Row
from flashinfer_bench.data.ranking import CURVE_POINTS, rank

AUTHORS = {"d": {"base": "baseline", "fast": "alice", "slow": "alice", "other": "bob"}}
WORKLOADS = {"d": ["w0", "w1", "w2", "w3"]}
BASELINE = [result("base", f"w{i}", 4.0) for i in range(4)]
EARLY, LATE = "2026-01-01T00:00:00", "2026-02-01T00:00:00"


def dataset_of(
    *results: Any, authors: Any = AUTHORS, baseline: Any = BASELINE, workloads: Any = WORKLOADS
) -> TraceSet:
    return trace_set(authors, [*baseline, *results], workloads)


def standing(dataset: TraceSet, name: str, *, hardware: str = "gpu", **options: Any) -> Standing:
    options = {"by": "solution", **options}
    [found] = [item for item in dataset.leaderboard(**options)[hardware] if item.name == name]
    return found


def ratios(dataset: TraceSet, name: str = "fast", **options: Any) -> tuple[float, ...]:
    return standing(dataset, name, **options).ratios


def test_by_hand():
    found = standing(
        dataset_of(
            result("fast", "w0", 1.0),  # ratio 4
            result("fast", "w1", 8.0),  # ratio 0.5
            result("fast", "w2", status="INCORRECT_SHAPE"),  # ratio 0, and w3 was not attempted
        ),
        "fast",
    )
    assert found.ratios == (4.0, 0.5, 0.0, 0.0)
    assert (found.passed, found.failed, found.not_attempted) == (2, 1, 1)
    assert (found.definitions, found.workloads, found.coverage) == (1, 4, 0.75)
    assert found.wins == 1
    assert found.score == pytest.approx((5 * 1.5 * 1 * 1) ** (1 / 4) - 1)
    assert found.geomean_speedup == pytest.approx(math.sqrt(2))
    assert found.fast_p() == 0.25
    assert (found.fast_p(0), found.fast_p(0.5), found.fast_p(0.51)) == (1.0, 0.5, 0.25)
    assert (found.fast_p(4), found.fast_p(4.01)) == (0.25, 0.0)


def test_uniformly_twice_as_fast_scores_two():
    found = standing(dataset_of(*[result("fast", f"w{i}", 2.0) for i in range(4)]), "fast")
    assert found.score == pytest.approx(2)
    assert found.geomean_speedup == pytest.approx(2)
    assert (found.coverage, found.wins, found.fast_p()) == (1.0, 4, 1.0)


def test_leaving_out_what_is_hard_lowers_the_score():
    whole = dataset_of(*[result("fast", f"w{i}", 2.0) for i in range(4)])
    picked = dataset_of(result("fast", "w0", 1.0), result("fast", "w1", 1.0))
    assert standing(picked, "fast").score == pytest.approx(math.sqrt(5) - 1)
    assert standing(picked, "fast").score < standing(whole, "fast").score


def test_as_fast_as_the_baseline_is_no_win():
    found = standing(dataset_of(result("fast", "w0", 4.0)), "fast")
    assert (found.wins, found.fast_p(1), found.geomean_speedup) == (0, 0.25, 1.0)


def test_nothing_passed():
    found = standing(dataset_of(result("fast", "w0"), result("fast", "w1", 0.0)), "fast")
    assert (found.passed, found.failed, found.not_attempted) == (0, 2, 2)
    assert (found.score, found.geomean_speedup, found.fast_p()) == (0.0, None, 0.0)


def test_curve():
    found = standing(dataset_of(result("fast", "w0", 1.0), result("fast", "w1", 2.0)), "fast")
    curve = found.fast_p_curve()
    assert len(curve) == CURVE_POINTS
    assert curve[0] == (0.0, 1.0)
    assert curve[-1] == (4.0, 0.25)
    assert found.fast_p_curve(5) == [(0, 1), (1, 0.5), (2, 0.5), (3, 0.25), (4, 0.25)]
    shares = [share for _, share in curve]
    assert shares == sorted(shares, reverse=True)


def test_curve_reaches_one_at_least():
    found = standing(dataset_of(result("fast", "w0", 8.0)), "fast")
    assert found.fast_p_curve(3) == [(0.0, 1.0), (0.5, 0.25), (1.0, 0.0)]


def test_hardware_is_kept_apart():
    dataset = dataset_of(
        result("base", "w0", 30.0, hardware="cpu"),
        result("fast", "w0", 10.0, hardware="cpu"),
        result("fast", "w0", 2.0),
        result("fast", "w0", 1.0, hardware="tpu"),
    )
    assert ratios(dataset) == (2.0, 0.0, 0.0, 0.0)
    assert ratios(dataset, hardware="cpu") == (3.0,)
    assert list(dataset.leaderboard()) == ["cpu", "gpu", "tpu"]
    assert dataset.leaderboard()["tpu"] == []


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (EARLY, LATE),
        ("2026-01-01T12:00:00+02:00", "2026-01-01T11:00:00"),
        ("2026-01-01T12:00:00", "2026-01-01T12:00:00.5Z"),
        ("yesterday", EARLY),
        (EARLY, EARLY),
        ("no time", "not a time either"),
    ],
)
@pytest.mark.parametrize("passes", [True, False])
def test_the_newest_verdict_supersedes(first, second, passes):
    old = result("fast", "w0", None if passes else 1.0, at=first)
    new = result("fast", "w0", 1.0 if passes else None, at=second)
    expected = (4.0, 0.0, 0.0, 0.0) if passes else (0.0, 0.0, 0.0, 0.0)
    assert ratios(dataset_of(old, new)) == expected
    if first != second and "time" not in first:
        assert ratios(dataset_of(new, old)) == expected


def test_the_baseline_is_superseded_too():
    dataset = dataset_of(result("fast", "w0", 1.0), result("base", "w0", 2.0, at=LATE))
    assert ratios(dataset) == (2.0, 0.0, 0.0, 0.0)


@pytest.mark.parametrize("blame", ["reference", "harness", "machine"])
def test_faults_of_others_do_not_count(blame):
    fault = result("fast", "w0", at=LATE, blame=blame)
    dataset = dataset_of(result("fast", "w0", 1.0), fault)
    assert ratios(dataset) == (4.0, 0.0, 0.0, 0.0)
    assert standing(dataset, "fast").failed == 0
    alone = dataset_of(fault)
    assert [item.name for item in alone.leaderboard(by="solution")["gpu"]] == []


@pytest.mark.parametrize("blame", ["solution", None])
def test_own_faults_count(blame):
    dataset = dataset_of(result("fast", "w0", 1.0), result("fast", "w0", at=LATE, blame=blame))
    assert ratios(dataset) == (0.0, 0.0, 0.0, 0.0)


def test_where_the_baseline_has_no_result_only_the_coverage_counts():
    baseline = [
        result("base", "w0", 4.0),
        result("base", "w1"),
        result("base", "w2", blame="machine"),
    ]
    dataset = dataset_of(
        *[result("fast", f"w{i}", 2.0) for i in range(3)], result("fast", "w3"), baseline=baseline
    )
    found = standing(dataset, "fast")
    assert found.ratios == (2.0,)
    assert (found.passed, found.failed, found.coverage) == (3, 1, 1.0)


def test_without_any_baseline_nothing_is_ranked():
    dataset = dataset_of(result("fast", "w0", 1.0), baseline=[])
    assert dataset.leaderboard() == {"gpu": []}


def test_the_reference_as_baseline():
    dataset = dataset_of(
        result("fast", "w0", 1.0, reference_ms=8.0),
        result("fast", "w1", 1.0, reference_ms=0.0),
        result("fast", "w2"),
        baseline=[result("base", "w2", 4.0, reference_ms=6.0)],
    )
    reference = {"baseline_author": "reference"}
    assert sorted(ratios(dataset, **reference)) == [0.0, 8.0]
    assert sorted(ratios(dataset, "base", **reference)) == [0.0, 1.5]


def test_workloads_without_results_and_results_without_workloads_count():
    dataset = dataset_of(result("fast", "w0", 1.0), result("fast", "new", 1.0))
    assert standing(dataset, "fast").workloads == 5
    more = dataset_of(result("fast", "w0", 1.0), workloads={"d": [f"w{i}" for i in range(10)]})
    assert standing(more, "fast").coverage == 0.1


def test_an_author_has_the_best_of_all_own_solutions():
    dataset = dataset_of(
        result("fast", "w0", 1.0),
        result("slow", "w0", 8.0),
        result("fast", "w1"),
        result("slow", "w1", 8.0),
        result("slow", "w2"),
    )
    found = standing(dataset, "alice", by="author")
    assert found.ratios == (4.0, 0.5, 0.0, 0.0)
    assert (found.passed, found.failed) == (2, 1)


TWO = {"d": AUTHORS["d"], "e": {"base_e": "baseline", "other_e": "bob"}}


def test_an_author_is_measured_on_all_definitions_a_solution_on_its_own():
    dataset = dataset_of(
        *[result("fast", f"w{i}", 2.0) for i in range(4)],
        result("base_e", "v0", 4.0, definition="e"),
        result("base_e", "v1", 4.0, definition="e"),
        result("other_e", "v0", 1.0, definition="e"),
        authors=TWO,
        workloads={**WORKLOADS, "e": ["v0", "v1"]},
    )
    alice = standing(dataset, "alice", by="author")
    assert (alice.ratios, alice.workloads, alice.definitions) == ((2.0,) * 4 + (0.0,) * 2, 6, 1)
    assert alice.coverage == pytest.approx(4 / 6)
    assert standing(dataset, "fast").ratios == (2.0,) * 4
    assert standing(dataset, "other_e").ratios == (4.0, 0.0)
    chosen = standing(dataset, "bob", by="author", definition_name="e")
    assert chosen.ratios == (4.0, 0.0)
    assert standing(dataset, "bob", by="author", op_type="op_e") == chosen


def test_order_and_the_baseline_itself():
    dataset = dataset_of(
        result("slow", "w0", 1.0), result("other", "w0", 1.0), result("fast", "w0", 0.5)
    )
    names = [item.name for item in dataset.leaderboard(by="solution")["gpu"]]
    assert names == ["fast", "other", "slow"]
    assert [item.name for item in dataset.leaderboard()["gpu"]] == ["alice", "bob"]


def test_solutions_that_the_dataset_lacks_are_left_out():
    rows = [Row.of(trace) for trace in [*BASELINE, result("stranger", "w0", 1.0)]]
    comparisons = compare(rows, {"base": "baseline"}, "baseline")
    assert {item.solution for item in comparisons} == {"base"}


def test_failures_without_a_baseline_have_no_ratio():
    rows = [Row.of(result("fast", "w0")), Row.of(result("fast", "w1", 1.0))]
    assert [item.ratio for item in compare(rows, {"fast": "alice"}, "baseline")] == [None, None]


def test_rank_of_nothing():
    assert rank([], {}) == {}
    assert dataset_of(baseline=[]).leaderboard() == {}
