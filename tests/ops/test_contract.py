"""Every operation of the registry keeps the whole contract."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from flashinfer_bench.data import violations
from flashinfer_bench.errors import NotFoundError
from flashinfer_bench.ops.binding import Binding, Unbound
from flashinfer_bench.ops.contract import Operation
from flashinfer_bench.ops.draw import STYLES, Draw
from flashinfer_bench.ops.emit import emit
from flashinfer_bench.ops.registry import OP_TYPES, format_name, operations, parse_name

EXAMPLES = {
    "N": 32,
    "K": 48,
    "hidden_size": 64,
    "num_qo_heads": 4,
    "num_kv_heads": 2,
    "head_dim": 16,
    "page_size": 16,
    "head_dim_ckv": 32,
    "head_dim_kpe": 16,
    "qk_dim": 24,
    "vo_dim": 16,
    "vocab_size": 128,
    "head_size": 32,
    "rotary_dim": 16,
}
"""A small value for every required constant; others get OTHERWISE."""
OTHERWISE = 16


def by_kind(operation: Operation) -> str:
    return operation.kind


def constants_of(operation: Operation) -> dict[str, int]:
    stated = operation.naming.parse(operation.example.name) or {}
    return {name: EXAMPLES.get(name, OTHERWISE) for name in stated}


@pytest.mark.parametrize("operation", operations(), ids=by_kind)
class TestOperation:
    def test_every_field_says_something(self, operation: Operation) -> None:
        assert operation.op_type in OP_TYPES
        assert operation.summary.endswith(".")
        assert isinstance(operation.binding, Binding | Unbound)
        if isinstance(operation.binding, Unbound):
            assert operation.binding.reason
        else:
            interface = operation.interface(constants_of(operation))
            assert set(operation.binding.inputs) >= {
                name for name, spec in interface.inputs.items() if not spec.optional
            }

    def test_names_lead_there_and_back(self, operation: Operation) -> None:
        constants = constants_of(operation)
        name = operation.naming.format(constants)
        assert parse_name(name) == (operation, constants)
        assert format_name(operation.kind, constants) == name

    def test_the_example_is_a_call_of_the_operation(self, operation: Operation) -> None:
        example = operation.example
        parsed, constants = parse_name(example.name)
        assert parsed is operation
        assert operation.naming.format(constants) == example.name
        axes = operation.interface(constants).axes
        assert {name for name in example.lengths if axes.get(name, 0) is not None} == set()
        assert operation.cost(constants, example.lengths).bytes_moved > 0

    def test_constants_are_axes_or_parameters(self, operation: Operation) -> None:
        axes = operation.interface(constants_of(operation)).axes
        for constant in operation.naming.constants:
            assert constant in axes or constant in operation.parameters

    def test_the_definition_is_valid(self, operation: Operation) -> None:
        definition = emit(operation, constants_of(operation))
        assert definition.op_type == operation.op_type
        source = definition.reference
        allowed = ("import torch", "import math", "from ")
        imports = [
            line for line in source.splitlines() if line.lstrip().startswith(("import", "from"))
        ]
        assert all(line.startswith(allowed[:2]) for line in imports), imports

    def test_inputs_are_valid_and_the_same_every_time(self, operation: Operation) -> None:
        torch = pytest.importorskip("torch")
        constants = constants_of(operation)
        definition = emit(operation, constants)
        for seed, style in enumerate(STYLES):
            draws = [Draw(seed, style=style) for _ in range(2)]
            lengths = [operation.draw_lengths(draw, constants) for draw in draws]
            inputs = [
                operation.make_inputs(draw, constants, length)
                for draw, length in zip(draws, lengths)
            ]
            assert list(inputs[0]) == list(definition.inputs)
            assert violations(definition, inputs[0]) == []
            for name, value in inputs[0].items():
                same = inputs[1][name]
                assert torch.equal(value, same) if hasattr(value, "shape") else value == same

    def test_the_emitted_reference_runs_alone(self, operation: Operation) -> None:
        torch = pytest.importorskip("torch")
        constants = constants_of(operation)
        definition = emit(operation, constants)
        draw = Draw(7)
        inputs = operation.make_inputs(draw, constants, operation.draw_lengths(draw, constants))
        names: dict[str, object] = {}
        exec(definition.reference, names)
        run = names["run"]
        assert callable(run)
        outputs = run(*inputs.values())
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        assert violations(definition, inputs, outputs) == []
        assert all(isinstance(output, torch.Tensor) for output in outputs)

    def test_cost_grows_with_the_call(self, operation: Operation) -> None:
        pytest.importorskip("torch")
        constants = constants_of(operation)
        lengths = operation.draw_lengths(Draw(3), constants)
        small = operation.cost(constants, lengths)
        large = operation.cost(constants, {axis: 2 * length for axis, length in lengths.items()})
        assert large.bytes_moved > small.bytes_moved > 0
        assert large.flops > small.flops >= 0


def test_kinds_are_unique() -> None:
    kinds = [operation.kind for operation in operations()]
    assert len(kinds) == len(set(kinds))


def test_names_that_nobody_knows_get_close_matches() -> None:
    with pytest.raises(NotFoundError, match=r"did you mean .*rmsnorm_h"):
        parse_name("rmsnrm_h4096")
    with pytest.raises(NotFoundError, match="rmsnorm"):
        operations("rmsnrm")


def test_importing_operations_loads_no_torch() -> None:
    code = (
        "import sys\nfrom flashinfer_bench.ops.registry import operations, parse_name\n"
        "operations(); parse_name('rmsnorm_h64')\nassert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parent)
