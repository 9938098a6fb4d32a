import math

import torch


def run(q, k_cache, v_cache, kv_indptr, kv_indices, sm_scale):
    group = q.shape[1] // k_cache.shape[2]
    output = torch.zeros_like(q)
    lse = q.new_full(q.shape[:2], -math.inf, dtype=torch.float32)
    for request in range(q.shape[0]):
        pages = kv_indices[kv_indptr[request] : kv_indptr[request + 1]].long()
        if not len(pages):
            continue
        k = k_cache[pages, 0].float().repeat_interleave(group, dim=1)
        v = v_cache[pages, 0].float().repeat_interleave(group, dim=1)
        logits = torch.einsum("hd,thd->ht", q[request].float(), k) * sm_scale
        output[request] = torch.einsum("ht,thd->hd", logits.softmax(dim=-1), v).to(q.dtype)
        lse[request] = logits.logsumexp(dim=-1) / math.log(2)
    return output, lse
