"""A folder that is not provably this run's is never written into, whatever it is."""

import os
import shutil

import pytest

from ltrec.cli.main import main
from ltrec.config.load import dump, load
from ltrec.run.folder.find_run import find_run
from ltrec.run.train import train
from tests.support.tiny_run import tiny_config, tiny_data, tiny_words


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    """A run, to be copied."""
    return train(tiny_config(data, tmp_path_factory.mktemp("trained"), "trainer.max_epochs=1")).path


@pytest.fixture
def run(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "r", symlinks=True)


def tree(folder):
    """Every path with what it holds."""
    paths = sorted([folder, *folder.rglob("*")]) if folder.is_dir() and not folder.is_symlink() else [folder]
    return {path: os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else None for path in paths}


def lay(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("theirs")


def link(folder, to):
    folder.parent.mkdir(exist_ok=True)
    folder.symlink_to(to)


FOREIGN_FOLDERS = {
    "their checkpoint": lambda r: lay(r, "checkpoints/best.ckpt"),
    "their metrics": lambda r: lay(r, "metrics.jsonl"),
    "their provenance": lambda r: lay(r, "provenance.json"),
    "their notes": lambda r: lay(r, "notes.txt"),
    "their tables": lambda r: lay(r, "eval/test.parquet"),
    "their hidden file": lambda r: lay(r, ".profile"),
    "a broken link in it": lambda r: (r.mkdir(), (r / "checkpoints").symlink_to("nowhere")),
    "a file": lambda r: r.write_text("theirs"),
    "a link to a folder": lambda r: (r.with_name("elsewhere").mkdir(), r.symlink_to(r.with_name("elsewhere"))),
    "a link to nowhere": lambda r: r.symlink_to("nowhere"),
    "an empty config": lambda r: (lay(r, "checkpoints/best.ckpt"), (r / "config.yaml").touch()),
    "a binary config": lambda r: (r.mkdir(), (r / "config.yaml").write_bytes(b"\x80\xff\x00")),
    "another program's config": lambda r: (r.mkdir(), (r / "config.yaml").write_text("model_type: llama\n")),
    "a config that is no YAML": lambda r: (r.mkdir(), (r / "config.yaml").write_text("a: [\n")),
    "a config that is a list": lambda r: (r.mkdir(), (r / "config.yaml").write_text("- a\n")),
    "a folder as config": lambda r: (r / "config.yaml").mkdir(parents=True),
    "half a config": lambda r: (r.mkdir(), (r / "config.yaml").write_text("name: other\nseed: 0\n")),
}


@pytest.mark.parametrize("resume", ["auto", "never"])
@pytest.mark.parametrize("foreign", FOREIGN_FOLDERS)
def test_other_contents_are_refused_in_one_line_and_unchanged(foreign, resume, data, tmp_path, capsys):
    FOREIGN_FOLDERS[foreign](tmp_path / "r")
    before = tree(tmp_path)
    assert main(["train", *tiny_words(data, tmp_path, f"resume={resume}")]) == 2
    told = capsys.readouterr().err
    assert len(told.splitlines()) == 1 and f"{tmp_path}/r" in told and "another name=" in told
    assert tree(tmp_path) == before


def test_a_run_with_another_config_is_refused_at_any_time_of_its_life(data, run, tmp_path, capsys):
    for gone in (None, "checkpoints/last.ckpt", "checkpoints", "metrics.jsonl", "provenance.json"):
        if gone is not None:
            shutil.rmtree(run / gone) if (run / gone).is_dir() else (run / gone).unlink(missing_ok=True)
        before = tree(tmp_path)
        for resume in ("auto", "never"):
            assert main(["train", *tiny_words(data, tmp_path, "optim.lr=0.5", f"resume={resume}")]) == 2
            told = capsys.readouterr().err
            assert "holds a run with another config (optim.lr=0.001 there, 0.5 here)" in told and "{digest}" in told
        assert tree(tmp_path) == before


@pytest.mark.parametrize("link_in", ["config.yaml", "metrics.jsonl", "provenance.json", "checkpoints"])
def test_links_in_a_run_are_not_followed(link_in, data, run, tmp_path, capsys):
    (run / link_in).rename(tmp_path / "theirs")
    (run / link_in).symlink_to(tmp_path / "theirs")
    before = tree(tmp_path)
    assert main(["train", *tiny_words(data, tmp_path)]) == 2
    assert f"{link_in} is a link to" in capsys.readouterr().err
    assert tree(tmp_path) == before


def test_another_data_set_is_refused_also_where_no_checkpoint_is_left(run, tmp_path, capsys):
    shutil.rmtree(run / "checkpoints")
    (run / "metrics.jsonl").unlink()
    before = tree(run)
    assert main(["train", *tiny_words(tiny_data(tmp_path / "other", seed=4), tmp_path)]) == 2
    assert "holds a run on another data set (digest " in capsys.readouterr().err
    assert tree(run) == before


def test_the_folder_above_may_be_a_link(data, tmp_path):
    (tmp_path / "scratch").mkdir()
    (tmp_path / "runs").symlink_to(tmp_path / "scratch")
    assert train(tiny_config(data, tmp_path / "runs", "trainer.max_epochs=1")).checkpoints.exists()


def test_files_of_a_job_script_or_a_killed_start_are_no_obstacle(data, tmp_path):
    lay(tmp_path / "r", "launch/train.sbatch", "code/1/ltrec/x.py", "STOP", "REQUEUE", ".lock", ".config.yaml.7.tmp")
    (tmp_path / "r" / "checkpoints").mkdir()
    assert find_run(tiny_config(data, tmp_path))[1] is None


def test_resume_never_leaves_a_trained_run_alone(data, run, tmp_path, capsys):
    for gone in ("checkpoints/last.ckpt", "checkpoints"):
        assert main(["train", *tiny_words(data, tmp_path, "resume=never")]) == 2
        assert "holds a run already: choose another name" in capsys.readouterr().err
        shutil.rmtree(run / gone) if (run / gone).is_dir() else (run / gone).unlink()


@pytest.mark.parametrize(
    "without",
    [["last.ckpt", "previous.ckpt"], ["last.ckpt", "previous.ckpt", "../metrics.jsonl"]],
    ids=["last lost", "only best kept"],
)
def test_a_best_checkpoint_without_a_last_one_is_not_removed(without, data, tmp_path, capsys, trained):
    run = train(tiny_config(data, tmp_path)).path
    for name in without:
        (run / "checkpoints" / name).unlink()
    before = tree(run)
    assert main(["train", *tiny_words(data, tmp_path)]) == 2
    assert f"use resume={run}/checkpoints/best.ckpt" in capsys.readouterr().err
    assert tree(run) == before
    assert main(["train", *tiny_words(data, tmp_path, f"resume={run}/checkpoints/best.ckpt")]) == 0


def test_repeating_resume_from_another_run_continues_the_new_one(data, run, tmp_path, capsys):
    words = tiny_words(data, tmp_path, "name=new", f"resume={run}/checkpoints/last.ckpt", "trainer.max_epochs=2")
    assert main(["train", *words]) == 0
    last = tmp_path / "new" / "checkpoints" / "last.ckpt"
    written = last.stat().st_mtime_ns
    assert main(["train", *words]) == 0
    assert last.stat().st_mtime_ns == written, "it did not go back to where it began"
    moved = shutil.copytree(run, tmp_path / "moved", symlinks=True)
    assert main(["train", *words, f"resume={moved}/checkpoints/last.ckpt"]) == 2
    assert "has checkpoints of its own; resume=auto resumes from them" in capsys.readouterr().err


def test_a_smoke_test_only_removes_folders_of_smoke_tests(data, run, tmp_path, capsys):
    run.rename(tmp_path / "r-smoke")
    before = tree(tmp_path)
    assert main(["train", *tiny_words(data, tmp_path), "--smoke"]) == 2
    assert "r-smoke holds a run; --smoke would train there, and remove it" in capsys.readouterr().err
    assert tree(tmp_path) == before
    (tmp_path / "r-smoke" / "THROW-AWAY").touch()
    assert main(["train", *tiny_words(data, tmp_path), "--smoke"]) == 0
    assert list(tmp_path.iterdir()) == []


def test_default_names_keep_settings_apart_and_repeated_commands_together(data, tmp_path):
    words = [word for word in tiny_words(data, tmp_path, "trainer.max_epochs=1") if not word.startswith("name=")]
    for more in ([], ["optim.lr=0.5"], ["seed=1"], []):
        assert main(["train", *words, *more]) == 0
    names = sorted(path.name for path in tmp_path.iterdir())
    assert len(names) == 3 and all(name.startswith("run-") for name in names)


def test_a_config_written_by_hand_belongs_to_the_run_if_it_is_equal(data, tmp_path):
    config = tiny_config(data, tmp_path)
    lay(tmp_path / "r", "config.yaml")
    (tmp_path / "r" / "config.yaml").write_text("# mine\n" + dump(config))
    assert find_run(load([tmp_path / "r" / "config.yaml"], []))[1] is None
