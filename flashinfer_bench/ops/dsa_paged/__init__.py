"""Sparse latent attention: an indexer chooses tokens, attention sees only these.

DeepSeek V3.2 has it: a small indexer in fp8 scores all tokens of a request for each query, and
latent attention takes the best. Both know a token by its slot in the flattened cache.
"""

from __future__ import annotations

from flashinfer_bench.ops.dsa_paged.attention import SPARSE
from flashinfer_bench.ops.dsa_paged.indexer import INDEXER

OPERATIONS = (SPARSE, INDEXER)

__all__ = ["OPERATIONS"]
