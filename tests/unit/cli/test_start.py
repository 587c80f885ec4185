"""Commands that compute nothing load nothing that computes: torch and Lightning alone take several seconds."""

import subprocess
import sys

import pytest

from ltrec.cli.main import COMMANDS

CONFIG = "conf/experiment/quickstart.yaml"
LIGHTNING = ("pytorch_lightning", "lightning_fabric", "torchmetrics")
HEAVY = ("torch", "pytorch_lightning", "lightning_fabric", "scipy", "duckdb", "pyarrow.dataset", "matplotlib", "wandb")


def loaded(commands):
    """Exit codes of commands in a process of their own, and what of the above it has loaded then."""
    script = (
        "import sys; from ltrec.cli.main import main\n"
        f"codes = [main(words) for words in {commands!r}]\n"
        f"print('\\nLOADED', codes, [name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[-1]


@pytest.mark.parametrize(
    "commands",
    [
        [[name, "--help"] for name in COMMANDS],
        [["train", "--print-config", CONFIG, "model=din", "gradients=stratified", "optim=sgd"]],
        [["launch", "slurm", CONFIG, "name=start", "--dry-run"]],
    ],
    ids=["--help", "--print-config", "launch slurm --dry-run"],
)
def test_what_only_training_needs_is_loaded_when_training_starts(commands):
    assert loaded(commands) == f"LOADED {[0] * len(commands)} []"


def test_ranking_does_without_lightning():
    """It takes as long to load as all else together, and 180 MiB."""
    modules = "ltrec.api.evaluate, ltrec.api.predict, ltrec.api.index, ltrec.serving.server"
    script = f"import sys, {modules}; print([name for name in ('torch', *{LIGHTNING!r}) if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "['torch']"


def test_a_process_says_what_it_has_loaded():
    """Else the test above would hold of anything."""
    assert loaded([["verify", "nowhere"]]) == "LOADED [2] ['duckdb', 'pyarrow.dataset']"
