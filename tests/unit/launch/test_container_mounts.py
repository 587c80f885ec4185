"""A container has all paths of its runs under their own names, and a note says which it may not see."""

from pathlib import Path

import pytest

from ltrec.config.load import load
from ltrec.core.errors import UserError
from ltrec.launch.slurm.container_mounts import Mount, container_mounts, outside_target


@pytest.fixture
def place(tmp_path):
    """A folder to run in, with neighbours."""
    for name in ("job/data", "job/runs", "far/data/stratum=0", "far/shards", "far/runs"):
        (tmp_path / name).mkdir(parents=True)
    return tmp_path


def seen(place, *words, requested=(), apptainer=True, **variables):
    view = container_mounts([load([], words)], requested, folder=place / "job", apptainer=apptainer, variables=variables)
    return [str(mount).replace(str(place), "") for mount in view.mounts], [note.replace(str(place), "") for note in view.notes]


def test_paths_in_the_folder_need_no_mount(place):
    assert seen(place, "data.path=data") == ([], [])
    assert seen(place, f"data.path={place}/job/data", "out=./runs/../runs") == ([], [])


def test_paths_elsewhere_are_mounted_under_the_same_name(place):
    far = ("data.path=../far/data", f"out={place}/far/runs")
    assert seen(place, *far) == (["/far/runs:/far/runs", "/far/data:/far/data"], [])
    runs = [load([], ["name=a", *far]), load([], ["name=b", *far])]
    assert len(container_mounts(runs, (), folder=place / "job", apptainer=True, variables={}).mounts) == 2, "once for all runs"


@pytest.mark.parametrize("word", ["init_from=../far/runs", "resume=../far/runs"])
def test_checkpoints_to_start_from_are_mounted(place, word):
    assert seen(place, word)[0] == ["/far/runs:/far/runs"]


def test_targets_of_links_are_mounted(place):
    (place / "job" / "linked").symlink_to(place / "far")
    (place / "far" / "again").symlink_to(place / "far" / "data")
    assert seen(place, "data.path=linked/data")[0] == ["/far/data:/far/data"]
    assert seen(place, "data.path=linked/again")[0] == ["/far/again:/far/again"], "a mount follows the rest"
    (place / "job" / "inside").symlink_to("data")
    assert seen(place, "data.path=inside")[0] == []


def test_shards_that_are_links_are_mounted(place):
    (place / "far" / "shards" / "a.parquet").touch()
    (place / "job" / "data" / "a.parquet").symlink_to(place / "far" / "shards" / "a.parquet")
    assert seen(place, "data.path=data")[0] == ["/far/shards/a.parquet:/far/shards/a.parquet"]


def test_a_circle_of_links_ends(place):
    (place / "job" / "a").symlink_to("b")
    (place / "job" / "b").symlink_to("a")
    assert outside_target(place / "job" / "a", place / "job") is not None
    assert "the container will not see it" in seen(place, "data.path=a")[1][0]


def test_mounts_of_the_user_come_first_and_are_not_repeated(place):
    assert seen(place, "data.path=/inside/data", requested=[f"{place}/far:/inside"]) == (["/far:/inside"], [])
    assert seen(place, "data.path=../far/data", requested=["../far"]) == (["/far:/far"], [])
    assert seen(place, "data.path=data", requested=["../far:/x:ro"]) == (["/far:/x:ro"], [])


def test_paths_that_do_not_exist_are_noted(place):
    mounts, notes = seen(place, "data.path=/nowhere/data", "out=new")
    assert mounts == [] and len(notes) == 1
    assert notes[0].startswith("data.path=/nowhere/data is not on this machine: the container will not see it")
    assert seen(place, "data.path=data", requested=["/nowhere"])[1] == [
        "/nowhere is not on this machine; the container sees it where the nodes have it"
    ]


def test_an_out_folder_that_does_not_exist_yet_needs_no_note(place):
    """The run folder is written before the job is submitted."""
    assert seen(place, "data.path=data", "out=../far/new") == (["/far/new:/far/new"], [])


def test_folders_of_wandb_are_mounted_where_it_is_used(place):
    there = {"WANDB_DIR": str(place / "far")}
    assert seen(place, "data.path=data", **there)[0] == []
    assert seen(place, "data.path=data", "tracking.wandb=offline", **there)[0] == ["/far:/far"]


def test_a_missing_wandb_key_is_noted(place):
    words = ("data.path=data", "tracking.wandb=online")
    assert "export WANDB_API_KEY" in seen(place, *words, apptainer=False)[1][0]
    assert seen(place, *words, apptainer=False, WANDB_API_KEY="x")[1] == [] == seen(place, *words)[1]


@pytest.mark.parametrize("text", ["", ":/a", "/a:b", "/a:/b:xx", "/a:/b:ro:rw", "/a,/b", "/a\n:/b", "/a:"])
def test_values_that_are_not_mounts(text):
    with pytest.raises(UserError, match="write SRC, SRC:/PATH/INSIDE or SRC:/PATH/INSIDE:ro"):
        Mount.parse(text, Path("/job"))


def test_a_path_with_a_colon_cannot_be_mounted(place):
    (place / "far" / "a:b").mkdir()
    with pytest.raises(UserError, match="its name holds ':' or ','"):
        seen(place, "data.path=../far/a:b")
