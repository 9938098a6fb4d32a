"""What is odd about a model's tree, though it is a valid Model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from flashinfer_bench.data.model import Model, Module
from flashinfer_bench.errors import NotFoundError
from flashinfer_bench.ops.registry import parse_name


def tree_problems(model: Model) -> list[str]:
    """One line for each thing that a reader of the tree would stumble over."""
    parents = {module.parent for module in model.modules.values()}
    found = []
    for key, module in model.modules.items():
        if module.count < 1:
            found.append(f"module {key!r}: count is {module.count}, expected at least 1")
        if module.type == "layer" and key in parents:
            found.append(f"module {key!r}: a layer with modules inside, expected type block")
        if module.type == "block" and key not in parents:
            found.append(f"module {key!r}: a block with nothing inside, expected type layer")
        found += [f"module {key!r}: {problem}" for problem in _definition_problems(module)]
    return found


def _definition_problems(module: Module) -> Iterator[str]:
    for name, count in Counter(module.definitions or ()).items():
        if count > 1:
            yield f"definition {name!r} is there {count} times, expected once"
        if not name:
            yield "a definition without a name"
            continue
        try:
            parse_name(name)
        except NotFoundError as error:
            yield f"definition {error}"


__all__ = ["tree_problems"]
