"""A TraceSet: a dataset of definitions, solutions, workloads, traces and models."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from pydantic import BaseModel

from flashinfer_bench import env
from flashinfer_bench.collector import paused_gc
from flashinfer_bench.data import layout, scoring
from flashinfer_bench.data.comparison import Comparison, compare
from flashinfer_bench.data.definition import Definition
from flashinfer_bench.data.explain import Problem
from flashinfer_bench.data.files import write_atomic
from flashinfer_bench.data.index import FolderIndex, Row
from flashinfer_bench.data.json_utils import AnyPath, append_jsonl_file, json_ready
from flashinfer_bench.data.lazy import LazyGroups
from flashinfer_bench.data.model import Model
from flashinfer_bench.data.ranking import By, Standing
from flashinfer_bench.data.reading import read_folder
from flashinfer_bench.data.scoring import Score, SpeedupMetrics, TraceSetSummary
from flashinfer_bench.data.solution import Solution
from flashinfer_bench.data.summarizing import rank_all
from flashinfer_bench.data.trace import EvaluationStatus, Trace
from flashinfer_bench.errors import DataError, MissingRequirementError, NotFoundError

Kind = Literal["workloads", "traces"]


@dataclass
class TraceSet:
    """Definitions, and by definition name the solutions, workloads and traces.

    `from_path` reads definitions, solutions and models at once, workloads and traces when they are
    first asked for. With `root` None the set lives in memory only.
    """

    root: Path | None = None
    """Folder of the dataset."""
    definitions: dict[str, Definition] = field(default_factory=dict)
    """Definitions by name."""
    solutions: dict[str, list[Solution]] = field(default_factory=dict)
    """Solutions by definition."""
    workloads: dict[str, list[Trace]] = field(default_factory=dict)
    """Workload traces by definition."""
    traces: dict[str, list[Trace]] = field(default_factory=dict)
    """Evaluation traces by definition."""
    models: dict[str, Model] = field(default_factory=dict)
    """Models by id."""

    def __post_init__(self) -> None:
        self.root = None if self.root is None else Path(self.root)
        self._indexes: dict[Kind, FolderIndex] = {}
        self._problems: list[Problem] = []
        self._solution_by_name: dict[str, Solution] = {}
        self._known_scores: dict[tuple[str, str], list[Score]] = {}
        for solution in (item for group in self.solutions.values() for item in group):
            if solution.name in self._solution_by_name:
                raise DataError(f"two solutions are named {solution.name!r}; rename one")
            self._solution_by_name[solution.name] = solution

    @classmethod
    def from_path(cls, path: AnyPath | None = None) -> TraceSet:
        """Open the dataset in a folder (default: FIB_DATASET_PATH).

        Files and lines that do not load are logged, listed in `problems`, and skipped.
        Raises NotFoundError (a FileNotFoundError) without the folder, DataError (a ValueError) when
        two definitions or two solutions share a name.
        """
        root = env.dataset_path() if path is None else Path(path)
        if not root.is_dir():
            raise NotFoundError(f"{root}: no such dataset folder; give the folder of a dataset")
        problems: list[Problem] = []
        definitions = read_folder(Definition, root / "definitions", "name", problems)
        solutions: dict[str, list[Solution]] = {}
        for solution in read_folder(Solution, root / "solutions", "name", problems).values():
            solutions.setdefault(solution.definition, []).append(solution)
        workloads = FolderIndex(root / "workloads", of_solutions=False)
        traces = FolderIndex(root / "traces", of_solutions=True)
        trace_set = cls(
            root,
            definitions,
            solutions,
            LazyGroups(workloads),
            LazyGroups(traces),
            read_folder(Model, root / "models", "id", problems),
        )
        trace_set._problems = problems
        trace_set._indexes = {"workloads": workloads, "traces": traces}
        return trace_set

    @property
    def problems(self) -> list[Problem]:
        """What in the folder does not load; asking reads all workload and trace files."""
        found = [problem for index in self._indexes.values() for problem in index.problems]
        return self._problems + found

    @property
    def definitions_path(self) -> Path:
        return self._folder("definitions")

    @property
    def solutions_path(self) -> Path:
        return self._folder("solutions")

    @property
    def workloads_path(self) -> Path:
        return self._folder("workloads")

    @property
    def traces_path(self) -> Path:
        return self._folder("traces")

    @property
    def blob_path(self) -> Path:
        return self._folder("blob")

    @property
    def blob_workloads_path(self) -> Path:
        return self.blob_path / "workloads"

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON-ready dicts; workloads are under the key `workload`."""
        return {
            "definitions": {name: json_ready(item) for name, item in self.definitions.items()},
            "solutions": _json_groups(self.solutions),
            "workload": _json_groups(self.workloads),
            "traces": _json_groups(self.traces),
        }

    def get_solution(self, name: str) -> Solution | None:
        """The solution of that name."""
        return self._solution_by_name.get(name)

    def filter_traces(self, def_name: str, atol: float = 1e-2, rtol: float = 1e-2) -> list[Trace]:
        """Traces of a definition that passed with both errors within bounds."""
        return [trace for trace in self.traces.get(def_name, []) if trace.is_within(atol, rtol)]

    def get_best_trace(
        self,
        def_name: str,
        axes: Mapping[str, int] | None = None,
        max_abs_error: float = 1e-2,
        max_rel_error: float = 1e-2,
    ) -> Trace | None:
        """The passing trace with the largest speedup factor, for exactly these axes if given."""
        candidates = [
            trace
            for trace in self.filter_traces(def_name, max_abs_error, max_rel_error)
            if axes is None or trace.workload.axes == dict(axes)
        ]
        return max(candidates, key=Trace.speedup, default=None)

    def summary(
        self,
        baseline_author: str = "baseline",
        op_type: str | None = None,
        definition_name: str | None = None,
    ) -> TraceSetSummary:
        """Counts of traces and the ranking of authors, over the chosen definitions."""
        names = self._select(op_type, definition_name)
        statuses = [row.status for name in names for row in self.rows("traces", name)]
        passed = statuses.count(EvaluationStatus.PASSED.value)
        return TraceSetSummary(
            total=len(statuses),
            passed=passed,
            failed=len(statuses) - passed,
            rankings=self.rank_authors(baseline_author, op_type, definition_name),
        )

    def rank_authors(
        self,
        baseline_author: str = "baseline",
        op_type: str | None = None,
        definition_name: str | None = None,
    ) -> list[tuple[str, SpeedupMetrics]]:
        """(author, metrics), fastest first; definitions without a baseline are left out."""
        names = self._select(op_type, definition_name)
        scores = scoring.author_metrics(self._scores(names, baseline_author))
        return [entry for entry in scores.items() if entry[0] != baseline_author]

    def get_author_score(
        self,
        author: str,
        baseline_author: str = "baseline",
        op_type: str | None = None,
        definition_name: str | None = None,
    ) -> SpeedupMetrics:
        """Metrics of one author; ValueError where nothing can be compared with the baseline."""
        names = self._select(op_type, definition_name)
        scores = scoring.author_metrics(self._scores(names, baseline_author))
        if author not in scores:
            raise DataError(_incomparable(f"author {author!r}", baseline_author))
        return scores[author]

    def get_solution_score(self, name: str, baseline_author: str = "baseline") -> SpeedupMetrics:
        """Metrics of one solution; ValueError where nothing can be compared with the baseline."""
        solution = self.get_solution(name)
        if solution is None:
            raise DataError(f"no solution is named {name!r} in this dataset")
        scores = self._scores([solution.definition], baseline_author)
        score = scoring.solution_metrics(scores, name)
        if score is None:
            raise DataError(_incomparable(f"solution {name!r}", baseline_author))
        return score

    def leaderboard(
        self,
        by: By = "author",
        baseline_author: str = "baseline",
        op_type: str | None = None,
        definition_name: str | None = None,
    ) -> dict[str, list[Standing]]:
        """Hardware -> standings over all workloads, tried or not; see `ranking`.

        `baseline_author="reference"` compares with the Definitions' references. The baseline's own
        entries are left out.
        """
        names = self._select(op_type, definition_name)
        rankings = rank_all(self, names, baseline_author, by)
        return {ranking.hardware: ranking.standings for ranking in rankings}

    def comparisons(
        self, names: Iterable[str], baseline_author: str = "baseline"
    ) -> list[Comparison]:
        """Newest verdict of every solution in every case of these definitions."""
        authors = self._authors()
        with paused_gc():
            return [
                item
                for name in names
                for item in compare(self.rows("traces", name), authors, baseline_author)
            ]

    def rows(self, kind: Kind, name: str) -> Sequence[Row]:
        """A definition's workloads or traces in short; from the index where they are not read."""
        if self._on_disk_only(kind, name):
            return self._indexes[kind].rows[name]
        group: dict[str, list[Trace]] = getattr(self, kind)
        return [Row.of(trace) for trace in group.get(name, [])]

    def backup_traces(self) -> None:
        """Move `traces/` aside as `traces_bak_YYYYmmdd_HHMMSS` and start without traces."""
        if self.traces_path.is_dir():
            stamp = datetime.now().strftime("%Y%m%d_%H%M%S")
            self.traces_path.rename(self.traces_path.with_name(f"traces_bak_{stamp}"))
        self.traces = {}
        self._indexes.pop("traces", None)

    def add_traces(self, traces: Sequence[Trace]) -> None:
        """Add evaluations, appending them durably to the dataset's files when there is a folder.

        Raises ValueError, before anything is added, for a workload alone and for unknown
        definitions or solutions.
        """
        files: dict[PurePosixPath, list[Trace]] = {}
        for trace in traces:
            files.setdefault(self._file_of_evaluation(trace), []).append(trace)
        self._append(files, self.traces)

    def add_workload_traces(self, traces: Sequence[Trace]) -> None:
        """Add workloads, appending them durably to the dataset's files when there is a folder.

        Raises ValueError, before anything is added, for evaluations and unknown definitions.
        """
        files: dict[PurePosixPath, list[Trace]] = {}
        for trace in traces:
            if not trace.is_workload_trace():
                raise DataError(f"{_title(trace)} is an evaluation; use add_traces")
            file = layout.workload_file(self._definition_of(trace))
            files.setdefault(file, []).append(trace)
        self._append(files, self.workloads)

    def add_workload_blob_tensor(
        self, def_name: str, workload_uuid: str, tensors: Mapping[str, Any]
    ) -> str:
        """Store tensors of a workload; returns the file's path relative to the dataset."""
        if def_name not in self.definitions:
            raise DataError(f"no definition is named {def_name!r} in this dataset")
        file = layout.blob_file(self.definitions[def_name], workload_uuid)
        path = self._root() / file
        contiguous = {name: tensor.contiguous() for name, tensor in tensors.items()}
        write_atomic(path, _safetensors().save(contiguous))
        return str(file)

    def get_workload_blob_tensor(self, path: str) -> dict[str, Any]:
        """Tensors of a stored workload by name, on the CPU."""
        file = layout.blob_path(self._root(), path)
        tensors: dict[str, Any] = _safetensors().load_file(file)
        return tensors

    def _append(
        self, files: Mapping[PurePosixPath, list[Trace]], groups: dict[str, list[Trace]]
    ) -> None:
        for file, traces in files.items():
            name = traces[0].definition
            known = groups.get(name, [])
            if self.root is not None:
                append_jsonl_file(traces, self.root / file)
            groups[name] = [*known, *traces]

    def _file_of_evaluation(self, trace: Trace) -> PurePosixPath:
        if trace.solution is None or trace.evaluation is None:
            raise DataError(f"{_title(trace)} is no evaluation; use add_workload_traces")
        definition, solution = self._definition_of(trace), self.get_solution(trace.solution)
        if solution is None:
            raise DataError(f"{_title(trace)}: no solution is named {trace.solution!r}")
        return layout.trace_file(definition, solution.author)

    def _definition_of(self, trace: Trace) -> Definition:
        try:
            return self.definitions[trace.definition]
        except KeyError:
            raise DataError(f"{_title(trace)}: that definition is not in this dataset") from None

    def _select(self, op_type: str | None, definition_name: str | None) -> list[str]:
        """Names of the definitions to count; all, known or not, without a filter."""
        if op_type is None and definition_name is None:
            return list(dict.fromkeys([*self.definitions, *self.traces]))
        return [
            name
            for name, definition in self.definitions.items()
            if definition_name in (None, name) and op_type in (None, definition.op_type)
        ]

    def _scores(self, names: Iterable[str], baseline_author: str) -> list[Score]:
        """Scores on these definitions; computed once where the traces are not in memory."""
        scores: list[Score] = []
        authors = self._authors()
        with paused_gc():
            for name in names:
                key = (name, baseline_author)
                if key not in self._known_scores or not self._on_disk_only("traces", name):
                    compared = compare(self.rows("traces", name), authors, baseline_author)
                    self._known_scores[key] = scoring.score(compared)
                scores += self._known_scores[key]
        return scores

    def _authors(self) -> dict[str, str]:
        return {name: solution.author for name, solution in self._solution_by_name.items()}

    def _on_disk_only(self, kind: Kind, name: str) -> bool:
        group = getattr(self, kind)
        return isinstance(group, LazyGroups) and not group.is_read(name)

    def _root(self) -> Path:
        if self.root is None:
            raise DataError("this TraceSet lives in memory only; open or create one with a folder")
        return self.root

    def _folder(self, name: str) -> Path:
        return self._root() / name


def _title(trace: Trace) -> str:
    return f"workload {trace.workload.uuid} of {trace.definition!r}"


def _incomparable(who: str, baseline_author: str) -> str:
    return f"{who} has no result on a workload that {baseline_author!r} passed on the same hardware"


def _safetensors() -> Any:
    try:
        import safetensors.torch
    except ImportError as error:
        raise MissingRequirementError(
            f"{error.name} is needed for stored tensors: pip install 'flashinfer-bench[bench]'"
        ) from error
    return safetensors.torch


def _json_groups(groups: Mapping[str, Sequence[BaseModel]]) -> dict[str, list[dict[str, Any]]]:
    return {name: [json_ready(item) for item in group] for name, group in groups.items()}


__all__ = ["TraceSet"]
