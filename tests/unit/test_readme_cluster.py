"""docs/cluster.md: its commands run, its options are real, its panels show something."""

from __future__ import annotations

import re
import shlex
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from ltrec.cli.main import main
from ltrec.config.load import load
from ltrec.run.train import train
from ltrec.tracking.keys import key_of, summary_of
from ltrec.tracking.wandb import EPOCHS, STEP
from tests.support.pages import PAGES
from tests.support.source_tree import ROOT
from tests.support.tiny_run import tiny_config, tiny_data

_FLAGS = re.MULTILINE | re.DOTALL
CHAPTER = PAGES["docs/cluster.md"]
COMMANDS = [line.strip() for block in re.findall(r"^```bash\n(.*?)^```$", CHAPTER, _FLAGS) for line in block.splitlines()]
SPOKEN = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", CHAPTER, flags=_FLAGS))
OPTIONS = [words for words in SPOKEN if words.startswith("--")]
FAMILIES = ("val/", "train/", "strata/", "throughput/", "health/", "test/", "tables/", "trainer/")
PANELS = [word for word in SPOKEN if word.startswith(FAMILIES)]
SLURM = ["launch", "slurm", "conf/data/synthetic.yaml", "conf/experiment/quickstart.yaml", "name=a"]
LOCAL = ["launch", "local", *SLURM[2:]]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_runs(line, capsys, folder):
    words = [w for word in shlex.split(line) for w in files_of(word)]
    assert words[:2] == ["ltrec", "launch"], "a new kind of command wants a test of its own"
    assert main([*words[1:], *([] if "--dry-run" in words else ["--dry-run"])]) == 0
    assert "-m ltrec train" in capsys.readouterr().out
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("words", OPTIONS)
def test_an_option_is_one(words, capsys):
    """As it is written, with what it names put there."""
    Path("mine.sbatch").write_text((ROOT / "slurm" / "train.sbatch").read_text())
    given = [w for word in shlex.split(words.replace("JOB", "1234")) for w in files_of(word)]
    given += ["0-2"] if given == ["--array-seeds"] else ["120"] if given == ["--notice"] else []
    given += ["1", "--array-seeds", "0-1"] if given == ["--jobs"] else ["/project"] if given == ["--mount"] else []
    place = [*SLURM, "--container", "x.sif"] if "--mount" in given else LOCAL if "--jobs" in given else SLURM
    assert main([*place, *given, "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert all(
        Path(word).stem in shown for word in given if not word.startswith("--") and word not in ("0-2", "0-1", "mine.sbatch")
    )


def files_of(word: str) -> list[str]:
    """What a shell makes of a star in the checkout."""
    return [str(path) for path in sorted(ROOT.glob(word))] if "*" in word else [word]


def test_there_are_commands_options_and_panels():
    assert len(COMMANDS) >= 3 and len(PANELS) > 10
    named = {words.split()[0] for words in OPTIONS}
    assert named >= {
        "--dry-run",
        "--sweep",
        "--array-seeds",
        "--after",
        "--python",
        "--container",
        "--sbatch",
        "--script",
        "--profile",
    }


def test_settings_are_settings():
    words = [word for word in SPOKEN if re.fullmatch(r"[a-z]+\.[a-z_]+=\w+", word)]
    assert len(words) >= 2
    for word in words:
        assert load([], [word])
    for name in [word for word in SPOKEN if re.fullmatch(r"trainer\.[a-z_]+", word)]:
        section, key = name.split(".")
        assert hasattr(getattr(load([], []), section), key), name


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Keys of a run by stratum."""
    place = tmp_path_factory.mktemp("run")
    words = ("gradients.name=stratified", "gradients.probe_every_steps=1", "trainer.max_epochs=1")
    run = train(tiny_config(tiny_data(place / "data"), place, *words))
    return set(re.findall(r'"([\w/@.=-]+)":', run.metrics.read_text()))


@pytest.mark.parametrize("panel", PANELS)
def test_a_panel_has_something_to_show(written, panel):
    key, dot, summed = panel.partition(".")
    assert not dot or summary_of(key) == summed
    if key in (EPOCHS, STEP):
        return  # not of metrics.jsonl; the tests of W&B read both
    if key.startswith("test/"):  # comes with the report
        assert key_of(key) and key.replace("test/", "val/") in written
        return
    assert [name for name in written if fnmatchcase(name, key)]


def test_files_are_there():
    named = [word for word in SPOKEN if re.fullmatch(r"(?:slurm|ltrec)/[\w./]+", word)]
    assert "slurm/train.sbatch" in named
    assert [name for name in named if not (ROOT / name).is_file()] == []
