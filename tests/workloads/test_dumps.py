"""From dumps to workloads: what is kept is what was dumped, and what is dropped says why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from flashinfer_bench.data import TraceSet  # noqa: E402
from flashinfer_bench.errors import NotFoundError  # noqa: E402
from flashinfer_bench.models.patterns import build_pattern_tree  # noqa: E402
from flashinfer_bench.models.serving import ServingProfile  # noqa: E402
from flashinfer_bench.workloads.collecting import Collected, collect  # noqa: E402
from flashinfer_bench.workloads.dump_reader import DumpedCall, DumpProblem, read_dump  # noqa: E402
from flashinfer_bench.workloads.selection import MOST  # noqa: E402
from flashinfer_bench.workloads.storing import store  # noqa: E402
from tests.models.sglang.test_kernel_calls import LLAMA  # noqa: E402
from tests.workloads.dump_writer import DumpWriter  # noqa: E402

SAMPLE = Path(__file__).parents[1] / "data" / "dumps"
DECODE = "gqa_paged_decode_h4_kv2_d16_ps1"
NORM = "rmsnorm_h512"


def only(found: Collected, name: str) -> Any:
    (kept,) = found.workloads[name]
    return kept


@pytest.mark.parametrize("form", ["safetensors", "torch"])
@pytest.mark.parametrize("session", [True, False])
def test_structure_is_kept_and_activations_are_drawn(
    tmp_path: Path, form: str, session: bool
) -> None:
    writer = DumpWriter(tmp_path, session=session, form=form)
    torch.manual_seed(1)
    writer.decode([3, 5], spare=4)
    kept = only(collect(tmp_path), DECODE)
    torch.manual_seed(1)
    assert kept.tensors["kv_indptr"].tolist() == [0, 3, 8]
    assert kept.tensors["kv_indices"].tolist() == torch.randperm(12)[:8].tolist()
    assert kept.workload.axes == {
        **{"batch_size": 2, "num_pages": 64, "len_indptr": 3, "num_kv_indices": 8},
    }
    kinds = {name: it.type for name, it in kept.workload.inputs.items()}
    assert kinds["q"] == kinds["k_cache"] == "random" and kinds["sm_scale"] == "scalar"
    assert kept.workload.inputs["sm_scale"].value == 16**-0.5
    assert kept.workload.seed is not None


def test_calls_that_are_the_same_are_one_workload(tmp_path: Path) -> None:
    writer = DumpWriter(tmp_path)
    for tokens in (3, 3, 7, 3):
        writer.rmsnorm(tokens)
    found = collect(tmp_path)
    weights = {it.workload.axes["batch_size"]: it.workload.weight for it in found.workloads[NORM]}
    assert weights == {3: 3.0, 7: 1.0} and found.calls[NORM] == 4


def test_few_stand_for_many(tmp_path: Path) -> None:
    writer = DumpWriter(tmp_path)
    for tokens in range(1, 41):
        writer.rmsnorm(tokens)
    found = collect(tmp_path, most=5)
    chosen = {it.workload.axes["batch_size"] for it in found.workloads[NORM]}
    assert len(chosen) == 5 and {1, 40} <= chosen  # the ends are far from all others
    assert sum(it.workload.weight or 0 for it in found.workloads[NORM]) == found.calls[NORM] == 40
    again = collect(tmp_path, most=5)
    assert [it.workload for it in again.workloads[NORM]] == [
        it.workload for it in found.workloads[NORM]
    ]


def test_plans_belong_to_their_wrapper_and_process(tmp_path: Path) -> None:
    writer = DumpWriter(tmp_path)
    writer.decode([2, 2], process=1)
    writer.decode([9], process=2)
    writer.decode([4], process=1, instance=100)
    found = collect(tmp_path)
    lengths = sorted(it.tensors["kv_indptr"].tolist() for it in found.workloads[DECODE])
    assert lengths == [[0, 2, 4], [0, 4], [0, 9]] and not found.dropped


def test_a_run_without_its_plan_is_dropped(tmp_path: Path) -> None:
    writer = DumpWriter(tmp_path)
    writer.decode([2])
    lines = (tmp_path / "session.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "session.jsonl").write_text("".join(it for it in lines if ".run" in it))
    for folder in tmp_path.glob("*.plan_*"):
        (folder / "metadata.jsonl").unlink()
        (folder / "inputs.safetensors").unlink()
    ((_, reason),) = collect(tmp_path).dropped
    assert "was given no 'indptr'" in reason


def test_unfinished_calls(tmp_path: Path) -> None:
    writer = DumpWriter(tmp_path)
    writer.rmsnorm(3, completed=False)
    assert collect(tmp_path).calls[NORM] == 1  # as on a machine without a GPU, where none returns
    writer.rmsnorm(4)
    found = collect(tmp_path)
    assert found.calls[NORM] == 1
    assert found.dropped["flashinfer.norm.rmsnorm", "the call did not complete"] == 1


def test_other_functions_and_sizes_are_told(tmp_path: Path) -> None:
    writer = DumpWriter(tmp_path)
    writer.call("merge_state", "(v_a)", [torch.zeros(1)], module="flashinfer.cascade")
    x, weight = torch.zeros(2, 512), torch.zeros(512)
    writer.call("rmsnorm", "(input, weight, eps=1e-6)", [x, weight])
    writer.rmsnorm(1)
    found = collect(tmp_path)
    reasons = dict(found.dropped.keys())
    assert reasons["flashinfer.cascade.merge_state"] == "no operation is called by it"
    assert "float32" in reasons["flashinfer.norm.rmsnorm"]
    assert sum(found.calls.values()) == 1


def test_what_was_cut_short_does_not_stop_the_rest(tmp_path: Path) -> None:
    writer = DumpWriter(tmp_path)
    writer.decode([2, 3])
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "inputs.pt").write_bytes(b"PK")
    (tmp_path / "20261123_later").mkdir()
    (tmp_path / "20261123_later" / "metadata.jsonl").write_text('{"function_na')
    with (tmp_path / "session.jsonl").open("a") as file:
        file.write('{"dump_dir": "x"}\n[1]\n{"function_name": "cut')
    found = list(read_dump(tmp_path))
    assert sum(isinstance(it, DumpedCall) for it in found) == 2
    problems = [str(it) for it in found if isinstance(it, DumpProblem)]
    assert "half: tensors without metadata.jsonl" in problems
    assert any("the record has no function_name" in it for it in problems)
    assert sum("no JSON object" in it for it in problems) == 3
    assert collect(tmp_path).calls[DECODE] == 1


def test_a_tensor_file_that_was_cut_short(tmp_path: Path) -> None:
    writer = DumpWriter(tmp_path)
    writer.decode([2, 3])
    (plan,) = tmp_path.glob("*.plan_*")
    data = (plan / "inputs.safetensors").read_bytes()
    (plan / "inputs.safetensors").write_bytes(data[:-9])
    ((_, reason),) = collect(tmp_path).dropped
    assert reason.startswith("the dump holds no values of kv_ind")


def test_replays_of_a_graph_are_calls_of_their_own(tmp_path: Path) -> None:
    writer = DumpWriter(tmp_path)
    folder = writer.rmsnorm(3)
    record = json.loads((folder / "metadata.jsonl").read_text().splitlines()[-1])
    for number in (1, 2):
        flush = folder / "graph_flushes" / f"flush_{number:04d}"
        flush.mkdir(parents=True)
        (flush / "metadata.jsonl").write_text(json.dumps({**record, "graph_capture": True}))
    calls = [it for it in read_dump(tmp_path) if isinstance(it, DumpedCall)]
    assert len(calls) == 2 and all(it.in_graph for it in calls)


def test_no_dump(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no dump of FlashInfer"):
        list(read_dump(tmp_path))


def test_only_what_is_wanted(tmp_path: Path) -> None:
    writer = DumpWriter(tmp_path)
    writer.rmsnorm(3)
    writer.decode([2])
    found = collect(tmp_path, wanted=lambda it: it.op_type == "gqa_paged")
    assert set(found.workloads) == {DECODE} and found.dropped[NORM, "not asked for"] == 1


@pytest.mark.parametrize("model", ["llama", "dsv3"])
def test_genuine_dumps(model: str, tmp_path: Path) -> None:
    found = collect(SAMPLE / model)
    kinds = {"llama": "gqa_paged_decode_h32_kv8_d128_ps1",
             "dsv3": "mla_paged_decode_h128_ckv512_kpe64_ps1"}  # fmt: skip
    assert kinds[model] in found.workloads and len(found.workloads) >= 2
    for name, kept in found.workloads.items():
        assert sum(it.workload.weight or 0 for it in kept) == found.calls[name]
        assert len(kept) <= MOST
    prefill = next(name for name in found.workloads if "ragged_prefill_causal" in name)
    scale = found.workloads[prefill][0].workload.inputs["sm_scale"]
    assert scale.value == pytest.approx(128**-0.5 if model == "llama" else 0.1352337788608801)


def test_layers_of_the_model_know_what_the_dump_does_not_hold(tmp_path: Path) -> None:
    """The same workloads as with the log of what the engine set on its wrappers."""
    for file in (SAMPLE / "llama").iterdir():
        if file.name != "forward_calls.jsonl":
            (tmp_path / file.name).symlink_to(file)
    root = build_pattern_tree(LLAMA, ServingProfile()).root
    known, inferred = collect(SAMPLE / "llama"), collect(tmp_path, model=root)
    assert inferred.calls == known.calls and inferred.dropped == known.dropped
    for name, kept in known.workloads.items():
        assert [it.workload for it in inferred.workloads[name]] == [it.workload for it in kept]


def test_a_dataset_takes_them_and_keeps_what_it_has(tmp_path: Path) -> None:
    writer, dataset = DumpWriter(tmp_path / "dump"), tmp_path / "dataset"
    writer.decode([2, 3])
    first = collect(tmp_path / "dump").workloads[DECODE]
    assert all(store(dataset, first).values())
    assert not any(store(dataset, first).values())
    writer.decode([7])
    both = collect(tmp_path / "dump").workloads[DECODE]
    states = store(dataset, both)
    assert sum(states.values()) == 2  # a blob and the list
    trace_set = TraceSet.from_path(str(dataset))
    assert len(trace_set.workloads[DECODE]) == 2
    assert not trace_set.problems
