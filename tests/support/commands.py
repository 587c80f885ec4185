"""The ltrec command in processes of its own: alone or under torchrun, one thread each, never on a GPU."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.support.timeouts import scaled

ROOT = Path(__file__).parents[2]
KEY = "5ec2e7" + "0b" * 17
"""An API key that nobody may ever see; it looks like one."""

# Becomes the command: with Ctrl-C heard even when the tests run in the background, and with a limit on the size of any file it
# writes, which is a full disk as far as a writer can tell. (A preexec_fn is not for programs with threads.)
_BECOME = """
import os, resource, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
if limit := int(sys.argv[1]):
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"  # a module compiled here would be cut, and break every later process
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
os.execv(sys.argv[2], sys.argv[2:])
"""

QUICKSTART = ["conf/data/synthetic.yaml", "conf/experiment/quickstart.yaml"]
HOSTILE = "o ut'\"; touch PWNED; $(touch PWNED) `touch PWNED` & *"
"""A value that a shell must never see unquoted."""


def limited(file_limit, *words):
    """An argument list that runs `words`, where no file may grow beyond `file_limit` bytes (0 = no limit)."""
    return [sys.executable, "-c", _BECOME, str(file_limit), *map(str, words)]


def command(*words, processes=1):
    """The argument list of `ltrec WORDS...`."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
    return [*(torchrun if processes > 1 else [sys.executable]), "-m", "ltrec", *map(str, words)]


def environment(**more):
    """This process's environment without W&B, GPUs or more than one thread; ltrec is compiled once, not by every process."""
    plain = {k: v for k, v in os.environ.items() if not k.startswith(("WANDB_", "LTREC_", "PYTHONDONTWRITE"))}
    fixed = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(ROOT)}
    return {**plain, **fixed, **more}


def ltrec(*words, processes=1, check=True, timeout=240, file_limit=0, **variables):
    """Run to the end, with these environment variables besides."""
    arguments = limited(file_limit, *command(*words, processes=processes))
    done = subprocess.run(
        arguments, capture_output=True, text=True, timeout=scaled(timeout), env=environment(**variables), check=False
    )
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


def start(*words, processes=1, output=subprocess.DEVNULL):
    """Start and do not wait; in a session of its own."""
    arguments = limited(0, *command(*words, processes=processes))
    return subprocess.Popen(arguments, env=environment(), stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
