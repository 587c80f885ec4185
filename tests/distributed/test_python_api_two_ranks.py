"""A script that calls the API, under torchrun: the processes train together, and evaluate together afterwards."""

import subprocess
import sys

from tests.support.commands import environment
from tests.support.tiny_run import tiny_data

SCRIPT = """
import os, sys
import ltrec

data, out = sys.argv[1:]
run = ltrec.train(
    {
        "stream": {"batch_rows": 24, "lanes": 24, "max_len": 6},
        "model": {"width": 8, "heads": 1},
        "objective.negatives": 8,
        "trainer": {"max_epochs": 1, "accelerator": "cpu", "threads": 1},
        "gradients.name": "stratified",
        "strategy.name": "ddp",
    },
    data=data,
    out=out,
    name="two",
)
found = run.evaluate(bootstrap_samples=10)
shown = [one.summary.groups["all"].users for one in found.runs]
with open(f"{out}/rank-{os.environ['RANK']}", "w") as file:
    file.write(repr(shown))
"""


def test_train_and_evaluate_in_one_script(tmp_path):
    data = tiny_data(tmp_path / "data")
    (tmp_path / "script.py").write_text(SCRIPT)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    words = [*torchrun, str(tmp_path / "script.py"), str(data), str(tmp_path)]
    done = subprocess.run(words, env=environment(), capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert [(tmp_path / f"rank-{rank}").read_text() for rank in range(2)] == ["[90]", "[]"]
