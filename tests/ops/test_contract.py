"""Every operation of the registry keeps the whole contract."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import is_dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from input_properties import PROPERTIES
from random_calls import as_tuple, draw_call, draw_constants, random_calls, run_reference

from flashinfer_bench.data import Definition, violations
from flashinfer_bench.errors import NotFoundError
from flashinfer_bench.ops.binding import Binding, Unbound
from flashinfer_bench.ops.contract import Operation
from flashinfer_bench.ops.emit import emit
from flashinfer_bench.ops.registry import OP_TYPES, format_name, operations, parse_name


def by_kind(operation: Operation) -> str:
    return operation.kind


@pytest.mark.parametrize("operation", operations(), ids=by_kind)
class TestOperation:
    def test_every_field_says_something(self, operation: Operation) -> None:
        assert operation.op_type in OP_TYPES
        assert operation.summary.endswith(".")
        assert is_dataclass(operation.check), "its settings go into the documentation"
        assert isinstance(operation.binding, Binding | Unbound)
        if isinstance(operation.binding, Unbound):
            assert operation.binding.reason
        else:
            interface = operation.interface(draw_constants(operation, 0))
            assert set(operation.binding.inputs) >= {
                name for name, spec in interface.inputs.items() if not spec.optional
            }

    def test_names_lead_there_and_back(self, operation: Operation) -> None:
        for seed in range(20):
            constants = draw_constants(operation, seed)
            name = operation.naming.format(constants)
            assert parse_name(name) == (operation, constants)
            assert format_name(operation.kind, constants) == name

    def test_the_example_is_a_call_of_the_operation(self, operation: Operation) -> None:
        example = operation.example
        parsed, constants = parse_name(example.name)
        assert parsed is operation
        assert operation.naming.format(constants) == example.name
        axes = operation.interface(constants).axes
        assert set(example.lengths) == {name for name, length in axes.items() if length is None}
        assert operation.cost(constants, example.lengths).bytes_moved > 0

    def test_constants_are_axes_or_parameters(self, operation: Operation) -> None:
        axes = operation.interface(draw_constants(operation, 0)).axes
        for constant in operation.naming.constants:
            assert constant in axes or constant in operation.parameters

    def test_the_definition_is_valid(self, operation: Operation) -> None:
        definition = emit(operation, draw_constants(operation, 0))
        assert definition.op_type == operation.op_type
        source = definition.reference
        allowed = ("import torch", "import math", "from ")
        imports = [
            line for line in source.splitlines() if line.lstrip().startswith(("import", "from"))
        ]
        assert all(line.startswith(allowed[:2]) for line in imports), imports

    def test_200_random_calls_are_valid_and_repeatable(self, operation: Operation) -> None:
        torch = pytest.importorskip("torch")
        holds_more = PROPERTIES.get(operation.op_type, lambda call: None)
        definitions: dict[str, Definition] = {}
        for call, again in zip(random_calls(operation, 200), random_calls(operation, 200)):
            name = operation.naming.format(call.constants)
            if name not in definitions:
                definitions[name] = emit(operation, call.constants)
            definition = definitions[name]
            assert list(call.inputs) == list(definition.inputs)
            assert violations(definition, call.inputs) == []
            holds_more(call)
            for key, value in call.inputs.items():
                same = again.inputs[key]
                assert torch.equal(value, same) if hasattr(value, "shape") else value == same
        assert len(definitions) >= 20

    def test_other_seeds_give_other_inputs(self, operation: Operation) -> None:
        torch = pytest.importorskip("torch")
        constants = draw_constants(operation, 0)
        calls = [draw_call(operation, constants, seed) for seed in range(5)]
        first = [next(iter(call.inputs.values())) for call in calls]
        assert not all(torch.equal(one, other) for one, other in pairwise(first))

    def test_the_emitted_reference_is_the_reference_alone(self, operation: Operation) -> None:
        torch = pytest.importorskip("torch")
        for call in random_calls(operation, 20):
            definition = emit(operation, call.constants)
            names: dict[str, Any] = {}
            exec(definition.reference, names)
            torch.manual_seed(1)
            outputs = as_tuple(names["run"](*call.inputs.values()))
            torch.manual_seed(1)
            expected = run_reference(operation, call.constants, call.inputs)
            assert violations(definition, call.inputs, outputs) == []
            for output, wanted in zip(outputs, expected, strict=True):
                assert torch.equal(output, wanted.to(output.dtype))

    def test_cost_grows_with_the_call(self, operation: Operation) -> None:
        pytest.importorskip("torch")
        constants = draw_constants(operation, 0)
        lengths = draw_call(operation, constants, 3).lengths
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
