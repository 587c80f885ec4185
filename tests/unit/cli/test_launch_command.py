"""`ltrec launch`: what is shown, what is written, what is handed to sbatch, and that nothing goes through a shell."""

import os
import shlex
import stat
import subprocess
from pathlib import Path

import pytest
import torch

from ltrec.cli.main import main, repeat_option
from ltrec.config.load import load
from tests.support.commands import HOSTILE, KEY, QUICKSTART, ROOT


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)  # whatever this machine has
    return tmp_path


@pytest.fixture
def sbatch(tmp_path, monkeypatch):
    """A stand-in that writes its arguments down and calls the job 77."""
    program = tmp_path / "bin" / "sbatch"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\nprintf "%s\\n" "$@" > {tmp_path}/submitted\n'
        f'env | grep ^SBATCH_ > {tmp_path}/seen\necho "${{ANSWER:-77;cluster}}"\nexit "${{CODE:-0}}"\n'
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return lambda: (tmp_path / "submitted").read_text().splitlines()


def launch(*words):
    return main(["launch", *words])


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["--gpus-per-node", "8"], ["--gpus-per-node=8\n", "processes_per_node=8\n"]),
        (["--gpus-per-node", "8", "--processes", "4"], ["--gpus-per-node=8\n", "processes_per_node=4\n"]),
        (["--gpus-per-node", "8", "trainer.accelerator=cpu"], ["--gpus-per-node=8\n", "processes_per_node=1\n"]),
        (["trainer.accelerator=cpu"], ["processes_per_node=1\n"]),
        ([], ["--gpus-per-node=1\n", "processes_per_node=1\n"]),
    ],
)
def test_slurm_starts_a_process_per_gpu(capsys, words, shown):
    assert launch("slurm", *QUICKSTART, *words, "--dry-run") == 0
    text = capsys.readouterr().out
    assert [line for line in shown if line not in text] == []
    assert ("#SBATCH --gpus-per-node" in text) == (words != ["trainer.accelerator=cpu"])


def test_a_profile_is_passed_on_to_training(capsys):
    assert launch("local", *QUICKSTART, "--profile", "20", "--dry-run") == 0
    assert shlex.split(capsys.readouterr().out)[-2:] == ["--profile", "20"]
    assert launch("slurm", *QUICKSTART, "--profile", "20", "--dry-run") == 0
    assert "\nprofile=20\n" in capsys.readouterr().out
    assert launch("local", *QUICKSTART, "--dry-run") == 0
    assert "--profile" not in capsys.readouterr().out
    assert launch("local", *QUICKSTART, "--profile", "-1", "--dry-run") == 2


def test_a_mistake_is_reported_before_anything_starts(capsys, sbatch):
    assert launch("local", *QUICKSTART, "optim.rl=1", "--dry-run") == 2
    assert "did you mean" in capsys.readouterr().err
    assert launch("slurm", *QUICKSTART, "name=a b") == 2
    assert launch("slum", *QUICKSTART) == 2
    assert "did you mean 'slurm'" in capsys.readouterr().err
    assert sorted(path.name for path in Path().iterdir()) == ["bin"]


def test_a_dry_run_shows_the_script_and_writes_nothing(capsys, folder):
    assert launch("slurm", *QUICKSTART, "--nodes", "2", "--gpus-per-node", "8", "--dry-run") == 0
    shown = capsys.readouterr().out
    assert "#SBATCH --nodes=2\n" in shown and "processes_per_node=8\n" in shown
    assert list(folder.iterdir()) == []


def test_the_run_folder_holds_config_code_and_script(capsys, sbatch):
    assert launch("slurm", *QUICKSTART, "name=a", "optim.lr=0.5", "--gpus-per-node", "0") == 0
    told = capsys.readouterr()
    assert told.out == "77\n" and "runs/a/launch/train.log" in told.err
    assert sbatch() == ["--parsable", "runs/a/launch/train.sbatch"]
    run = Path("runs/a")
    assert load([run / "config.yaml"], []).optim.lr == 0.5
    [code] = (run / "code").iterdir()
    assert (code / "ltrec" / "__init__.py").exists()
    assert f"code=code/{code.name}\n" in (run / "launch" / "train.sbatch").read_text()


def test_an_array_has_a_folder_for_each_run(capsys, sbatch):
    for rate in ("1e-3", "3e-3"):
        Path(f"lr-{rate}.yaml").write_text(f"optim: {{lr: {rate}}}\n")
    words = [*QUICKSTART, "name=a", "--sweep", "lr-1e-3.yaml", "lr-3e-3.yaml", "--array-seeds", "0-1", "--after", "12"]
    assert launch("slurm", *words) == 0
    names = ["a-lr-1e-3-seed0", "a-lr-1e-3-seed1", "a-lr-3e-3-seed0", "a-lr-3e-3-seed1"]
    assert sorted(path.name for path in Path("runs").iterdir()) == names
    texts = {(Path("runs") / name / "launch/train.sbatch").read_text() for name in names}
    [text] = texts
    assert "#SBATCH --array=0-3\n" in text and "#SBATCH --dependency=afterok:12\n" in text
    assert "run_folders=(\n" + "".join(f"  runs/{name}\n" for name in names) + ")\n" in text


def test_a_folder_with_shell_characters_is_quoted(sbatch, capsys):
    assert launch("slurm", *QUICKSTART, "name=a", f"out={HOSTILE}") == 0
    assert sbatch() == ["--parsable", f"{HOSTILE}/a/launch/train.sbatch"]
    script = Path(HOSTILE, "a", "launch", "train.sbatch").read_text()
    [line] = [line for line in script.splitlines() if "PWNED" in line and not line.startswith("#SBATCH")]
    assert shlex.split(line) == [f"{HOSTILE}/a"]
    assert not Path("PWNED").exists()


def test_no_other_setting_of_a_run_is_in_the_script(sbatch):
    secret = "SENTINEL"
    assert launch("slurm", *QUICKSTART, "name=a", f"tracking.project={secret}; id", f"data.path=$({secret})") == 0
    assert secret not in Path("runs/a/launch/train.sbatch").read_text()
    assert f"$({secret})" in Path("runs/a/config.yaml").read_text()


@pytest.mark.parametrize("name", ["$(touch PWNED)", "a;touch PWNED", "a\n#SBATCH --uid=0", "-x", "../a", "a'b"])
def test_a_name_with_shell_characters_is_refused(sbatch, capsys, name):
    assert launch("slurm", *QUICKSTART, f"name={name}") == 2
    assert sorted(path.name for path in Path().iterdir()) == ["bin"]


@pytest.mark.parametrize("file", ["$(touch PWNED).yaml", "b;touch PWNED.yaml", "c\n.yaml"])
def test_a_sweep_file_with_a_bad_name_is_refused_and_its_values_stay_in_the_config(sbatch, capsys, file):
    Path(file).write_text("optim: {lr: 0.1}\n")
    assert launch("slurm", *QUICKSTART, "name=a", "--sweep", file) == 2
    assert not Path("runs").exists()
    Path("lr.yaml").write_text("tracking: {project: '$(touch PWNED); `id`', tags: [\"'; touch PWNED\"]}\n")
    assert launch("slurm", *QUICKSTART, "name=a", "--sweep", "lr.yaml") == 0
    assert "PWNED" not in Path("runs/a-lr/launch/train.sbatch").read_text()
    assert load(["runs/a-lr/config.yaml"], []).tracking.project == "$(touch PWNED); `id`"
    assert not Path("PWNED").exists()


def test_the_key_of_the_environment_is_in_nothing_that_is_written_or_said(sbatch, capsys, monkeypatch, folder):
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    assert launch("slurm", *QUICKSTART, "name=a", "tracking.wandb=online", "--array-seeds", "0-1") == 0
    assert launch("slurm", *QUICKSTART, "name=b", "tracking.wandb=online", "--dry-run") == 0
    assert launch("local", *QUICKSTART, "name=c", "tracking.wandb=online", "--dry-run") == 0
    told = capsys.readouterr()
    assert KEY not in told.out + told.err
    written = [path for path in folder.rglob("*") if path.is_file()]
    assert {"config.yaml", "train.sbatch", "submitted"} <= {path.name for path in written}
    assert [str(path) for path in written if KEY.encode() in path.read_bytes()] == []


@pytest.mark.parametrize(
    "words",
    [["--sbatch", "export=ALL,WANDB_API_KEY=abc"], ["--sbatch", "comment=" + "0b" * 20], ["--container", "docker://me:abc@site/x"]],
)
def test_a_secret_that_is_typed_is_not_written(sbatch, capsys, words):
    assert launch("slurm", *QUICKSTART, "name=a", *words) == 2
    told = capsys.readouterr().err
    assert "export it before you submit" in told and "abc" not in told and "0b0b" not in told
    assert not Path("runs").exists()


def test_a_folder_with_another_run_is_refused(sbatch, capsys):
    (Path("runs/a/checkpoints")).mkdir(parents=True)
    (Path("runs/a/checkpoints/last.ckpt")).touch()
    assert main(["train", *QUICKSTART, "name=a", "seed=4", "--print-config"]) == 0
    Path("runs/a/config.yaml").write_text(capsys.readouterr().out)
    assert launch("slurm", *QUICKSTART, "name=a", "seed=5") == 2
    assert "holds a run with another config (seed=4 there, 5 here)" in capsys.readouterr().err
    assert not Path("runs/a/launch").exists() and not Path("runs/a/code").exists()


def test_the_message_of_sbatch_is_shown(sbatch, capsys, monkeypatch):
    monkeypatch.setenv("CODE", "1")
    assert launch("slurm", *QUICKSTART, "name=a") == 2
    assert "sbatch refused runs/a/launch/train.sbatch" in capsys.readouterr().err


def test_without_sbatch_the_script_waits_for_a_login_node(capsys, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert launch("slurm", *QUICKSTART, "name=a") == 2
    assert "sbatch runs/a/launch/train.sbatch" in capsys.readouterr().err
    assert Path("runs/a/launch/train.sbatch").exists()


def test_a_site_s_script_keeps_its_own_lines(capsys):
    text = (ROOT / "slurm" / "train.sbatch").read_text().replace("set -euo pipefail\n", "set -euo pipefail\nmodule load cuda\n")
    Path("mine.sbatch").write_text(text)
    assert launch("slurm", *QUICKSTART, "--script", "mine.sbatch", "--dry-run") == 0
    shown = capsys.readouterr().out
    assert "\nmodule load cuda\n" in shown
    assert launch("slurm", *QUICKSTART, "--script", "other.sbatch", "--dry-run") == 2
    assert "--script other.sbatch: no such file" in capsys.readouterr().err
    assert subprocess.run(["bash", "-n"], input=shown, text=True, check=False).returncode == 0


@pytest.mark.parametrize(
    ("words", "spread_words"),
    [
        (["a", "--sweep", "x", "y", "--nodes", "2"], ["a", "--sweep", "x", "--sweep", "y", "--nodes", "2"]),
        (["--sweep", "x", "y", "name=z", "w"], ["--sweep", "x", "--sweep", "y", "name=z", "w"]),
        (["--sweep", "x", "--sweep", "y"], ["--sweep", "x", "--sweep", "y"]),
        (["a", "b", "--after", "1"], ["a", "b", "--after", "1"]),
    ],
)
def test_an_expanded_glob_is_accepted(words, spread_words):
    assert repeat_option(words) == spread_words


def test_options_of_the_job_are_in_the_script(capsys):
    words = ["--setup", "module load cuda/12.4", "--setup", "ulimit -c 0", "--env", "A=b c", "--stage", "$NODE_DISK"]
    words += ["--sbatch", "export=ALL,A=b", "--sbatch", "comment=two words"]
    assert launch("slurm", *QUICKSTART, *words, "--dry-run") == 0
    shown = capsys.readouterr().out
    assert "# module load cuda\nmodule load cuda/12.4\nulimit -c 0\n# <<<\n" in shown
    assert "\nenvironment=('A=b c')\n" in shown and "\nstage='$NODE_DISK'\n" in shown and "\nmounts=()\n" in shown
    assert '#SBATCH --export=ALL,A=b\n#SBATCH --comment="two words"\n' in shown
    assert subprocess.run(["bash", "-n"], input=shown, text=True, check=False).returncode == 0


@pytest.mark.parametrize("word", ["", "scratch", "relative/x"])
def test_a_stage_that_the_shell_has_expanded_is_refused(capsys, word):
    """`--stage $SLURM_TMPDIR` without quotes, on a login node that has no such variable."""
    refused = word != "scratch"  # which may be the name of a variable
    assert launch("slurm", *QUICKSTART, "--stage", word, "--dry-run") == (2 if refused else 0)
    assert ("in single quotes" in capsys.readouterr().err) == refused


def test_a_container_sees_the_data_or_the_dry_run_says_what_it_misses(capsys, tmp_path, monkeypatch):
    for name in ("here", "data"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "here")
    container = ["--container", "x.sif", "--mount", "/:/host:ro", "--stage", "/local/scratch", "--dry-run"]
    assert launch("slurm", *QUICKSTART, "data.path=../data", f"out={tmp_path}/out", *container) == 0
    told = capsys.readouterr()
    assert f"\nmounts=(/:/host:ro /local/scratch:/local/scratch {tmp_path}/out:{tmp_path}/out {tmp_path}/data:" in told.out
    assert "/local/scratch is not on this machine" in told.err and "data.path" not in told.err
    assert launch("slurm", *QUICKSTART, "data.path=/nowhere", *container) == 0
    assert "data.path=/nowhere is not on this machine: the container will not see it" in capsys.readouterr().err


def test_no_config_reaches_the_shell_text_of_setup(tmp_path, capsys):
    Path("a.yaml").write_text("setup: ['touch PWNED']\n")
    assert launch("slurm", *QUICKSTART, "a.yaml", "--dry-run") == 2
    assert "setup" in capsys.readouterr().err


def test_help_has_examples(capsys):
    assert launch("--help") == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert all(word in shown for word in ("ltrec launch local CONF...", "--jobs 2", "--setup 'module load cuda'", "never shared"))


def test_variables_of_sbatch_do_not_overrule_the_script(sbatch, monkeypatch, folder):
    names = ("TIMELIMIT", "ARRAY_INX", "WAIT", "OUTPUT", "ACCOUNT", "QOS", "PARTITION", "RESERVATION")
    for name in names:
        monkeypatch.setenv(f"SBATCH_{name}", "1")
    assert launch("slurm", *QUICKSTART, "name=a", "--account", "mine", "--sbatch", "qos=high") == 0
    seen = (folder / "seen").read_text().splitlines()
    assert [name for name in names if f"SBATCH_{name}=1" in seen] == ["PARTITION", "RESERVATION"], "a site's defaults stay"


@pytest.mark.parametrize(("words", "told"), [(["--gpus-per-node", "7"], "; --processes sets another"), (["--processes", "7"], "")])
def test_processes_that_cannot_share_a_batch_do_not_wait_in_the_queue(capsys, words, told):
    assert launch("slurm", *QUICKSTART, "name=a", *words, "--dry-run") == 2
    assert "a: 7 processes do not divide 48 lanes" in (said := capsys.readouterr().err) and told in said
    assert launch("slurm", *QUICKSTART, *words, "--nodes", "1-2", "--dry-run") == 0, "Slurm chooses how many"
