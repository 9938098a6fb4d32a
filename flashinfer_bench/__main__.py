"""`python -m flashinfer_bench` is `flashinfer-bench`."""

from flashinfer_bench.cli import run_process

run_process()
