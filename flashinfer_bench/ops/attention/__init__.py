"""What the attention operations share: the reference, inputs, check, cost and bindings.

All of them are causal, aligned at the end: of n queries and m keys, query i stands at position
i + m - n and sees the keys up to there. Decode is the case of one query. Rows that see nothing give
zeros and a log-sum-exp of -inf; the log-sum-exp is to base 2, as FlashInfer's is.
"""
