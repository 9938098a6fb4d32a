import torch.nn.functional as F


def run(hidden_states, residual, weight, output):
    x = hidden_states.float() + residual.float()
    output.copy_(F.rms_norm(x, (512,), weight.float(), eps=1e-6))
