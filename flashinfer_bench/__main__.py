"""`python -m flashinfer_bench` is `flashinfer-bench`."""

import sys

from flashinfer_bench.cli import main

sys.exit(main())
