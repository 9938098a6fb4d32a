import math

import torch


def run(q, k_cache, v_cache, kv_indptr, kv_indices, sm_scale):
    batch_size, num_qo_heads, head_dim = q.shape
    group = num_qo_heads // k_cache.shape[2]
    lengths = (kv_indptr[1:] - kv_indptr[:-1]).long()
    request = torch.arange(batch_size, device=q.device).repeat_interleave(lengths)
    k = k_cache[kv_indices.long(), 0].float().repeat_interleave(group, dim=1)
    v = v_cache[kv_indices.long(), 0].float().repeat_interleave(group, dim=1)

    # Softmax over the tokens of each request, all requests side by side.
    logits = (q.float()[request] * k).sum(dim=-1) * sm_scale
    largest = logits.new_full((batch_size, num_qo_heads), -math.inf)
    largest.scatter_reduce_(0, request.unsqueeze(-1).expand_as(logits), logits, "amax")
    weights = torch.exp(logits - largest[request])
    total = torch.zeros_like(largest).index_add_(0, request, weights)
    output = weights.new_zeros(batch_size, num_qo_heads, head_dim)
    output.index_add_(0, request, weights.unsqueeze(-1) * v)

    # A request without tokens: zeros, and minus infinity as log-sum-exp (to base 2).
    output = output / torch.where(total > 0, total, 1.0).unsqueeze(-1)
    lse = (largest + total.log()) / math.log(2)
    return output.to(torch.bfloat16), lse
