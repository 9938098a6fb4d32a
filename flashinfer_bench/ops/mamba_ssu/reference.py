"""One step of Mamba-2, in plain torch."""

REQUESTS_AT_ONCE = 4


def mamba_ssu_decode(  # type: ignore[no-untyped-def]
    state, x, dt, A, B, C, D, dt_bias, state_batch_indices, dtype=None
):
    import torch

    dtype = dtype or torch.float32
    x, A, B, C = x.to(dtype), A.to(dtype), B.to(dtype), C.to(dtype)
    dt = torch.nn.functional.softplus(dt.to(dtype) + dt_bias.to(dtype))
    heads_of_group = x.shape[1] // B.shape[1]
    output = x * D.to(dtype)
    new_state = state.to(dtype, copy=True)
    for first in range(0, len(x), REQUESTS_AT_ONCE):
        some = slice(first, first + REQUESTS_AT_ONCE)
        slots = state_batch_indices[some].long()
        stored = slots >= 0
        old = state[slots.clamp_min(0)].to(dtype)
        old.masked_fill_(~stored[:, None, None, None], 0)
        b, c = (it[some].repeat_interleave(heads_of_group, dim=1) for it in (B, C))
        step = dt[some].unsqueeze(-1)
        new = old * torch.exp(A * step) + x[some].unsqueeze(-1) * step * b.unsqueeze(2)
        output[some] += (new * c.unsqueeze(2)).sum(dim=-1)
        new_state[slots[stored]] = new[stored]
    return output, new_state


__all__ = ["mamba_ssu_decode"]
