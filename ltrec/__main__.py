"""`python -m ltrec`, as torchrun wants it: `torchrun --nproc-per-node 2 -m ltrec train conf/...`."""

from __future__ import annotations

import sys

from ltrec.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
