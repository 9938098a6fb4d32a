import torch


def run(probs, top_k):
    ranked = probs.sort(dim=-1, descending=True)
    rank = torch.arange(probs.shape[-1], device=probs.device)
    kept = ranked.values.masked_fill(rank >= top_k.unsqueeze(-1), 0.0)
    drawn = torch.multinomial(kept, num_samples=1)
    return ranked.indices.gather(-1, drawn).squeeze(-1)
