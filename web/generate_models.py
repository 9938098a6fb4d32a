"""Writes the models that apps/web/data/models.ts ships with.

    python web/generate_models.py [--check] [--sglang PATH] [--transformers PATH]

Configurations come from the table of well-known models, so that no Hub is needed; `--check` writes
nothing and exits 1 where the file would change.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from flashinfer_bench.models.entry import model_record
from flashinfer_bench.models.extraction import extract_model, map_model
from flashinfer_bench.models.typescript import unified_diff, upsert

os.environ.update(HF_HUB_OFFLINE="1", HF_HUB_CACHE=str(Path("/nonexistent")))  # only the table
MODELS_TS = Path(__file__).parent / "apps" / "web" / "data" / "models.ts"
SGLANG, TRANSFORMERS = "0.5.23", "5.19.0"
"""Versions that are read where no path is given."""
MODELS = (
    *("deepseek-v3", "deepseek-v3.2", "gemma-3-27b", "glm-4.5", "gpt-oss-120b", "kimi-k2"),
    *("llama-3.1-8b", "llama-4-scout-17b-16e", "minimax-m2", "mixtral-8x7b", "nemotron-h-8b"),
    *("qwen3-30b-a3b", "qwen3-next-80b-a3b"),
)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--sglang", help=f"unpacked SGLang {SGLANG}")
    parser.add_argument("--transformers", help=f"unpacked transformers {TRANSFORMERS}")
    options = parser.parse_args()
    before = MODELS_TS.read_bytes().decode()
    after = before
    for name in MODELS:
        model = extract_model(
            name,
            sglang_path=options.sglang,
            sglang_version=None if options.sglang else SGLANG,
            transformers_path=options.transformers,
        )
        after = upsert(after, model_record(model, map_model(model), model_id=name))
        print(f"{name}: {model.route.reason}", file=sys.stderr)
    print(unified_diff(before, after, str(MODELS_TS.name)), end="")
    if not options.check:
        MODELS_TS.write_bytes(after.encode())
    return int(options.check and after != before)


if __name__ == "__main__":
    sys.exit(main())
