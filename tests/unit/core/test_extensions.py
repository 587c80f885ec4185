"""Modules from outside: imported by name or by entry point, described for provenance, refused in one line."""

import re
import sys
from importlib import metadata

import pytest

from ltrec.core.errors import UserError
from ltrec.core.extension import extensions


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder on the path, and extensions that are forgotten afterwards."""
    for state in ("_imported", "_broken", "_seen"):
        monkeypatch.setattr(extensions, state, type(getattr(extensions, state))())
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None)).startswith(str(tmp_path)):
            del sys.modules[name]


def write(folder, **files):
    for name, text in files.items():
        path = folder / (name.replace("__slash__", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def install(folder, name, version, points):
    """What pip leaves of a package that announces a plugin."""
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (info / "top_level.txt").write_text("".join(f"{module.partition('.')[0]}\n" for module in points.values()))
    (info / "entry_points.txt").write_text("[ltrec.plugins]\n" + "".join(f"{k} = {v}\n" for k, v in points.items()))


def test_a_named_module_is_imported_once_and_described(place):
    write(place, ours__slash____init__="__version__ = '7'\n", ours__slash__models="seen = []\n")
    extensions.import_module("ours.models", "'imports' on the command line")
    extensions.import_module("ours.models", "'imports' on the command line")
    (one,) = extensions.imported()
    assert (one.module, one.distribution) == ("ours.models", None)
    assert re.fullmatch("[0-9a-f]{12}", one.digest)
    assert [name for _, name in extensions.source_files("ours.models")] == ["ours/__init__.py", "ours/models.py"]


def test_its_digest_is_of_the_whole_package(place):
    write(place, ours__slash____init__="", ours__slash__models="from ours import parts\n", ours__slash__parts="x = 1\n")
    extensions.import_module("ours.models", "here")
    before = extensions.imported()[0].digest
    write(place, ours__slash__parts="x = 2\n")
    assert extensions._source_digest("ours.models") != before
    write(place, ours__slash__parts="x = 1\n")
    assert extensions._source_digest("ours.models") == before


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("ours/models.py", "'imports' in x.yaml:3: 'ours/models.py' is not a module; write a dotted name, as in my_package.models"),
        ("import os", "'import os' is not a module"),
        ("ours.", "'ours.' is not a module"),
        ("", "'' is not a module"),
        ("absent_thing.models", "no module 'absent_thing' is found here; install its package, or put its folder"),
        ("ours.absent", "no module 'ours.absent' is found here"),
        ("ours.thirsty", "ours.thirsty could not be imported (ModuleNotFoundError: No module named 'absent_library'"),
        ("ours.broken", "ours.broken could not be imported (ZeroDivisionError: division by zero, "),
        ("ours.exits", "ours.exits could not be imported (SystemExit: 3"),
        ("ours.doubles", "ours.doubles could not be imported (model.name=sasrec is registered already"),
    ],
)  # fmt: skip
def test_what_cannot_be_imported_is_refused_in_one_line(place, name, said):
    again = "from ltrec.models.backbones import BACKBONES, SASRec, SASRecConfig\n"
    write(place, ours__slash____init__="", ours__slash__broken="\n1 / 0\n", ours__slash__exits="raise SystemExit(3)\n")
    write(place, ours__slash__thirsty="import absent_library\n")
    write(place, ours__slash__doubles=again + "BACKBONES.register('sasrec', config=SASRecConfig, build=SASRec)\n")
    with pytest.raises(UserError, match=re.escape(said)) as error:
        extensions.import_module(name, "'imports' in x.yaml:3")
    assert "\n" not in str(error.value)
    assert extensions.imported() == ()


def test_a_failing_line_is_named(place):
    write(place, broken="\n1 / 0\n")
    with pytest.raises(UserError, match=r"broken\.py:2\)"):
        extensions.import_module("broken", "here")


def test_installed_plugins_are_imported_once_and_known_by_their_package(place):
    write(place, theirs="count = 0\n")
    install(place, "their-models", "1.2", {"mine": "theirs"})
    assert extensions.import_installed() == extensions.import_installed() == ()
    (one,) = extensions.imported()
    assert (one.module, one.distribution, one.version) == ("theirs", "their-models", "1.2")


def test_a_broken_plugin_is_one_line_that_names_its_package_and_no_reason_to_stop(place):
    write(place, theirs="x = 1\n", broken="import absent_library\n")
    install(place, "their-models", "1.2", {"mine": "theirs"})
    install(place, "bad-models", "0.3", {"bad": "broken"})
    (line,) = extensions.import_installed()
    said = "the plugin 'bad' of bad-models 0.3 could not be imported (ModuleNotFoundError: No module named 'absent_library'"
    assert line.startswith(said)
    assert line.endswith("it is left out") and "\n" not in line
    assert extensions.import_installed() == () and extensions.broken() == (line,)
    assert [one.module for one in extensions.imported()] == ["theirs"]


def test_a_module_of_an_installed_package_carries_its_version(place):
    extensions.import_module("torch.nn", "here")
    (one,) = extensions.imported()
    assert (one.distribution, one.version) == ("torch", metadata.version("torch"))
