"""The ltrec command in processes of its own: alone or under torchrun, one thread each, never on a GPU."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def command(*words, processes=1):
    """The argument list of `ltrec WORDS...`."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
    return [*(torchrun if processes > 1 else [sys.executable]), "-m", "ltrec", *map(str, words)]


def environment(**more):
    """This process's environment without W&B, GPUs or more than one thread."""
    plain = {k: v for k, v in os.environ.items() if not k.startswith(("WANDB_", "LTREC_"))}
    return {**plain, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(ROOT), **more}


def ltrec(*words, processes=1, check=True, timeout=240, cwd=None, env=None, **options):
    """Run to the end; `options` go to subprocess.run."""
    done = subprocess.run(
        command(*words, processes=processes),
        capture_output=True,
        text=True,
        timeout=timeout,
        cwd=cwd,
        env=environment(**(env or {})),
        check=False,
        **options,
    )
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


def start(*words, processes=1, output=subprocess.DEVNULL):
    """Start and do not wait; a process group of its own, so that everything below it can be ended together."""
    return subprocess.Popen(
        command(*words, processes=processes), env=environment(), stdout=output, stderr=subprocess.STDOUT, start_new_session=True
    )
