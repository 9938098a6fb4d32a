"""Makes perturbed configurations, for comparing our trees with SGLang's own on what is unusual.

    python benchmarks/sglang_perturb.py FOLDER --count 600 --seed 1 > JOBS.jsonl

FOLDER holds config.json files. Each line is a job for a program that builds SGLang's own classes:
`id`, `config` (a path), `set` (dotted key -> value), `tp`, `ep`. What it writes, with `job` in each
record, is read by `sglang_oracle.py`. Changed are numbers of layers, heads, KV heads and experts,
dense prefixes, intervals, windows, ties and widths; some changes SGLang must refuse.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_CHOICES: dict[str, tuple[Any, ...]] = {
    "num_hidden_layers": (2, 3, 5, 8, 13),
    "num_attention_heads": (8, 16, 24, 28, 32, 64),
    "num_key_value_heads": (1, 2, 4, 8, 3),
    "n_routed_experts": (16, 64, 96, 128),
    "num_experts": (16, 64, 96, 128),
    "num_local_experts": (8, 16, 64),
    "n_shared_experts": (0, 1, 2),
    "num_experts_per_tok": (1, 2, 4, 8),
    "first_k_dense_replace": (0, 1, 2, 3),
    "moe_layer_freq": (1, 2),
    "decoder_sparse_step": (1, 2, 3),
    "full_attention_interval": (2, 3, 4),
    "interleave_moe_layer_step": (1, 2),
    "sliding_window": (None, 128, 1024, 4096),
    "tie_word_embeddings": (True, False),
    "vocab_size": (32000, 50257, 151936),
    "intermediate_size": (1024, 4096, 11008),
    "moe_intermediate_size": (256, 768, 1408),
    "kv_lora_rank": (256, 512),
    "q_lora_rank": (None, 768, 1536),
    "head_dim": (64, 128, 256),
    "attention_bias": (True, False),
}
"""Key -> values; a key is changed where a configuration states it."""
_RANKS = ((1, 1), (1, 1), (2, 1), (2, 2), (8, 1), (8, 8))


def perturb(config: Mapping[str, Any], draw: random.Random) -> dict[str, Any]:
    """Dotted key -> new value, of one to four keys that the configuration states."""
    inside = "text_config" if isinstance(config.get("text_config"), Mapping) else None
    stated = config[inside] if inside else config
    keys = [key for key in _CHOICES if key in stated]
    chosen = draw.sample(keys, min(len(keys), draw.randint(1, 4)))
    prefix = f"{inside}." if inside else ""
    changes = {f"{prefix}{key}": draw.choice(_CHOICES[key]) for key in chosen}
    layers = changes.get(f"{prefix}num_hidden_layers")
    kinds = stated.get("layer_types")
    if layers and isinstance(kinds, list) and kinds:
        changes[f"{prefix}layer_types"] = (kinds * (layers // len(kinds) + 1))[:layers]
    return changes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=600)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    draw = random.Random(given.seed)
    paths = sorted(given.folder.glob("*.json"))
    for number in range(given.count):
        path = draw.choice(paths)
        tp, ep = draw.choice(_RANKS)
        changes = perturb(json.loads(path.read_text()), draw)
        job = {"config": str(path), "set": changes, "tp": tp, "ep": ep}
        print(json.dumps({"id": f"{number}:{path.stem}", **job}))


if __name__ == "__main__":
    main()
