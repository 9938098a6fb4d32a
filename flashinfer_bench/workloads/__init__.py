"""From what serving runs logged to workloads of definitions."""
