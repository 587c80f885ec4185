"""Which file a config's name means, in a checkout and in an installed wheel."""

from __future__ import annotations

from pathlib import Path

import pytest

from ltrec.config.files import find, method_file, shipped_conf
from ltrec.core.errors import UserError


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A shipped conf folder, while the working folder is another, empty one."""
    folder = tmp_path / "site" / "ltrec" / "share" / "conf"
    (folder / "experiment").mkdir(parents=True)
    (folder / "experiment" / "beauty.yaml").write_text("seed: 1\n")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return folder


def test_a_file_as_given_wins(shipped: Path) -> None:
    mine = Path("conf/experiment")
    mine.mkdir(parents=True)
    (mine / "beauty.yaml").write_text("seed: 2\n")
    assert find("conf/experiment/beauty.yaml", shipped) == mine / "beauty.yaml"


def test_a_shipped_file_is_found_from_anywhere(shipped: Path) -> None:
    assert find("conf/experiment/beauty.yaml", shipped) == shipped / "experiment" / "beauty.yaml"


@pytest.mark.parametrize(
    "name", ["experiment/beauty.yaml", "beauty.yaml", "/conf/experiment/beauty.yaml", "conf", "other/conf/experiment/beauty.yaml"]
)
def test_only_names_that_begin_with_conf_mean_shipped_files(shipped: Path, name: str) -> None:
    if name == "conf":
        assert find(name, shipped) == shipped  # refused later, as a folder
    else:
        with pytest.raises(UserError, match="no config file"):
            find(name, shipped)


@pytest.mark.parametrize("name", ["conf/experiment/buaty.yaml", "conf/experiment/beauty.yml", "conf/experiment/beauty"])
def test_a_missing_file_is_answered_with_the_nearest_in_its_folder(shipped: Path, name: str) -> None:
    with pytest.raises(UserError, match=rf"^no config file '{name}' \(did you mean 'conf/experiment/beauty\.yaml'\?\)$"):
        find(name, shipped)


def test_a_missing_file_in_a_missing_folder(shipped: Path) -> None:
    with pytest.raises(UserError, match=r"^no config file 'nowhere/x\.yaml'$"):
        find("nowhere/x.yaml", shipped)
    with pytest.raises(
        UserError, match=r"^no config file 'conf/exp/beauty\.yaml' \(did you mean 'conf/experiment/beauty\.yaml'\?\)$"
    ):
        find("conf/exp/beauty.yaml", shipped)
    with pytest.raises(UserError, match=r"^no config file 'beauty' \(did you mean 'conf/experiment/beauty\.yaml'\?\)$"):
        find("beauty", shipped)


def test_a_name_like_no_other_is_answered_with_all_names(shipped: Path) -> None:
    (shipped / "experiment" / "steam.yaml").touch()
    with pytest.raises(UserError, match=r"^no config file 'conf/experiment/qqq\.yaml'; conf/experiment has beauty, steam$"):
        find("conf/experiment/qqq.yaml", shipped)


@pytest.mark.parametrize(("slip", "meant"), [("pni", "pin"), ("upgard", "upgrad"), ("group_dro", "group-dro"), ("IPW", "ipw")])
def test_a_slip_in_a_method_finds_the_method_and_not_another(shipped: Path, slip: str, meant: str) -> None:
    """By bare names: of whole paths the most is alike anyway."""
    (shipped / "method").mkdir()
    for name in ("pin", "pin-frozen", "ipw", "upgrad", "pcgrad", "group-dro", "cvar-dro"):
        (shipped / "method" / f"{name}.yaml").touch()
    with pytest.raises(
        UserError, match=rf"^no config file 'conf/method/{slip}\.yaml' \(did you mean 'conf/method/{meant}\.yaml'\?\)$"
    ):
        find(f"conf/method/{slip}.yaml", shipped)


def test_a_file_in_another_folder_is_named(shipped: Path) -> None:
    (shipped / "method" / "zoo").mkdir(parents=True)
    for name in ("melt", "zoo/mgda"):
        (shipped / "method" / f"{name}.yaml").touch()
    with pytest.raises(UserError, match=r"\(did you mean 'conf/method/zoo/mgda\.yaml'\?\)$"):
        find("conf/method/mgda.yaml", shipped)


def test_a_method_is_found_by_its_name() -> None:
    assert [method_file(name) for name in ("pin", "melt", "nobody")] == [
        "conf/method/pin.yaml",
        "conf/method/zoo/melt.yaml",
        "conf/method/nobody.yaml",
    ]


def test_shipped_conf_is_inside_a_wheel_and_beside_a_checkout(shipped: Path, tmp_path: Path) -> None:
    assert shipped_conf(tmp_path / "site" / "ltrec") == shipped
    assert shipped_conf(tmp_path / "repo" / "ltrec") == tmp_path / "repo" / "conf"
    assert shipped_conf().name == "conf"
