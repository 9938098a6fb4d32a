"""What the skills do: one module each, `python -m flashinfer_bench.skills.extract_hf --help`."""
