# mypy: disable-error-code="no-untyped-def,no-untyped-call"
"""The gated delta rule, 64 tokens at a time.

For each head, with a state S [value, key] and for each token in turn

    S = decay S + u kᵀ,  u = beta (v - decay S k),  output = scale S q

Within a chunk u of a token depends on those before it: the u of all tokens solve a triangular
system, whose matrix holds the products of their keys.
"""

TOKENS_AT_ONCE = 64


def gdn_decode(q, k, v, state, A_log, a, dt_bias, b, scale, dtype=None):
    log_decay, beta = gates(A_log, a, dt_bias, b, dtype)
    return run_tokens(q, k, v, state, log_decay, beta, scale)


def gdn_mtp(
    q,
    k,
    v,
    initial_state,
    initial_state_indices,
    A_log,
    a,
    dt_bias,
    b,
    scale,
    intermediate_states_buffer=None,
    dtype=None,
):
    slots = initial_state_indices.long()
    log_decay, beta = gates(A_log, a, dt_bias, b, dtype)
    output, states = run_tokens(q, k, v, initial_state[slots], log_decay, beta, scale)
    final_state = initial_state.to(beta.dtype, copy=True)
    final_state[slots] = states
    return output, final_state


def gdn_prefill(q, k, v, state, A_log, a, dt_bias, b, cu_seqlens, scale, dtype=None):
    import torch

    log_decay, beta = gates(A_log, a, dt_bias, b, dtype)
    edges = cu_seqlens.tolist()
    heads, size = v.shape[1:]
    output = torch.empty(v.shape, dtype=beta.dtype, device=v.device)
    shape = (len(edges) - 1, heads, size, q.shape[-1])
    new_state = torch.empty(shape, dtype=beta.dtype, device=v.device)
    for request, first, end in zip(range(len(new_state)), edges, edges[1:]):
        its_q, its_k, its_v, its_log_decay, its_beta = (
            x[None, first:end] for x in (q, k, v, log_decay, beta)
        )
        its_state = None if state is None else state[request : request + 1]
        output[first:end], new_state[request] = run_tokens(
            its_q, its_k, its_v, its_state, its_log_decay, its_beta, scale
        )
    return output, new_state


def gates(A_log, a, dt_bias, b, dtype):
    """Logarithm of the decay, and beta."""
    import torch

    dtype = dtype or torch.float32
    step = torch.nn.functional.softplus(a.to(dtype) + dt_bias.to(dtype))
    return -torch.exp(A_log.to(dtype)) * step, torch.sigmoid(b.to(dtype))


def run_tokens(q, k, v, state, log_decay, beta, scale):
    """Outputs [batch, tokens, heads, value] and states after the last token."""
    import torch

    dtype, (batch, tokens, heads, size) = beta.dtype, v.shape
    group = heads // q.shape[2]
    q, k, v = (x.to(dtype).transpose(1, 2) for x in (q, k, v))
    q, k = (x.repeat_interleave(group, dim=1) for x in (q, k))
    log_decay, beta = log_decay.transpose(1, 2), beta.transpose(1, 2)
    if state is None:
        state = torch.zeros(batch, heads, size, k.shape[-1], dtype=dtype, device=v.device)
    state, output = state.to(dtype), torch.empty_like(v)
    for first in range(0, tokens, TOKENS_AT_ONCE):
        now = slice(first, first + TOKENS_AT_ONCE)
        output[:, :, now], state = run_chunk(
            q[:, :, now], k[:, :, now], v[:, :, now], log_decay[:, :, now], beta[:, :, now], state
        )
    return scale * output.transpose(1, 2), state


def run_chunk(q, k, v, log_decay, beta, state):
    """[..., tokens, size] and [..., tokens]: S q of each token, and the state after the last."""
    import torch

    tokens, beta = q.shape[-2], beta.unsqueeze(-1)
    since_start = log_decay.cumsum(dim=-1).exp().unsqueeze(-1)
    steps = log_decay.unsqueeze(-1).expand(*log_decay.shape, tokens).tril(-1)
    since_token = steps.cumsum(dim=-2).exp().tril()
    mixing = beta * since_token * (k @ k.mT)
    wanted = beta * (v - since_start * (k @ state.mT))
    updates = torch.linalg.solve_triangular(mixing, wanted, upper=False, unitriangular=True)
    output = since_start * (q @ state.mT) + (since_token * (q @ k.mT)) @ updates
    kept = since_token[..., -1, :].unsqueeze(-1)
    return output, since_start[..., -1:, :] * state + (kept * updates).mT @ k


__all__ = ["gdn_decode", "gdn_mtp", "gdn_prefill"]
