"""Writes the outlines of the known models, with which unknown ones are compared.

    python benchmarks/known_outlines.py --sglang PATH --transformers PATH

One tree for each model of known_models.jsonl, on one rank and with shared experts apart. Models
that SGLang does not build are named and left out.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from flashinfer_bench.errors import FlashInferBenchError
from flashinfer_bench.models.extraction import unquantized
from flashinfer_bench.models.known import known_models
from flashinfer_bench.models.serving import ServingProfile
from flashinfer_bench.models.sglang.build import build_tree
from flashinfer_bench.models.sglang.source import find_sglang
from flashinfer_bench.models.sglang.transformers_source import find_transformers
from flashinfer_bench.models.similarity import TABLE, Outline, outline


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--sglang")
    parser.add_argument("--transformers")
    parser.add_argument("--output", type=Path, default=TABLE)
    options = parser.parse_args()
    version, outlines = collect(options.sglang, options.transformers)
    text = written(version, outlines)
    options.output.write_text(text, encoding="utf-8")
    print(f"{len(outlines)} outlines, {len(text)} bytes, in {options.output}")


def collect(
    sglang_path: str | None, transformers_path: str | None
) -> tuple[str | None, dict[str, Outline]]:
    """SGLang's version, and model id -> outline."""
    sglang = find_sglang(sglang_path)
    found = find_transformers(transformers_path, sglang=sglang)
    transformers = found.package if found else None
    profile, outlines = ServingProfile(shared_expert_fusion=False), {}
    for model in known_models():
        try:
            tree = build_tree(unquantized(model.config), sglang, profile, transformers=transformers)
        except FlashInferBenchError as error:
            print(f"{model.model_id}: {error}", file=sys.stderr)
            continue
        outlines[model.model_id] = outline(tree.root)
    return sglang.version, outlines


def written(version: str | None, outlines: dict[str, Outline]) -> str:
    """One line for each model."""
    rows = [f"{json.dumps(name)}: {json.dumps(asdict(it))}" for name, it in outlines.items()]
    return f'{{"sglang": {json.dumps(version)}, "models": {{\n' + ",\n".join(rows) + "\n}}\n"


if __name__ == "__main__":
    main()
