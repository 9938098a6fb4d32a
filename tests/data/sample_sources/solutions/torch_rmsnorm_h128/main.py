import torch.nn.functional as F


def run(hidden_states, weight):
    return F.rms_norm(hidden_states, (128,), weight, eps=1e-6)
