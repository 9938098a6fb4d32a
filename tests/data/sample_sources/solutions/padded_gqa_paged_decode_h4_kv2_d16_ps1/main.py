import math

import torch


def run(q, k_cache, v_cache, kv_indptr, kv_indices, sm_scale, output, lse):
    """All requests as one batch, padded to the longest."""
    group = q.shape[1] // k_cache.shape[2]
    lengths = (kv_indptr[1:] - kv_indptr[:-1]).long()
    token = torch.arange(int(lengths.max()), device=q.device)
    padding = token >= lengths.unsqueeze(1)
    place = (kv_indptr[:-1].long().unsqueeze(1) + token).clamp(max=len(kv_indices) - 1)
    pages = kv_indices[place].long()
    k = k_cache[pages, 0].float().repeat_interleave(group, dim=2)
    v = v_cache[pages, 0].float().repeat_interleave(group, dim=2)
    logits = torch.einsum("bhd,bthd->bht", q.float(), k) * sm_scale
    logits.masked_fill_(padding.unsqueeze(1), -math.inf)
    log_total = logits.logsumexp(dim=-1, keepdim=True)
    weights = torch.exp(logits - log_total).nan_to_num(0.0)
    output.copy_(torch.einsum("bht,bthd->bhd", weights, v))
    lse.copy_(log_total.squeeze(-1) / math.log(2))
