"""`imports` in a config: they add up, are written back, and come before the variants are chosen."""

import sys

import pytest

from ltrec.config.load import dump, load
from ltrec.core.errors import UserError
from ltrec.core.extension import extensions
from ltrec.models.backbones import BACKBONES

MODULE = """
from dataclasses import dataclass

from ltrec.models.backbones import BACKBONES, SASRec


@dataclass(frozen=True)
class Config:
    name: str = "{name}"
    width: int = 8


BACKBONES.register("{name}", config=Config, build=SASRec)
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setattr(extensions, "_imported", {})
    monkeypatch.syspath_prepend(tmp_path)
    for module in ("alpha", "beta"):
        (tmp_path / f"{module}_models.py").write_text(MODULE.format(name=module))
    yield tmp_path
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None)).startswith(str(tmp_path)):
            del sys.modules[name]
    for name in {"alpha", "beta"} & set(BACKBONES):
        BACKBONES.remove(name)


def test_files_and_words_add_up_and_the_config_reloads(place):
    one, two = place / "one.yaml", place / "two.yaml"
    one.write_text("imports: [alpha_models]\n")
    two.write_text("model:\n  name: beta\n  width: 16\n")
    config = load([one, two], ["imports=[beta_models, alpha_models]"])
    assert config.imports == ("alpha_models", "beta_models")
    assert (config.model.name, config.model.width) == ("beta", 16)
    saved = place / "config.yaml"
    saved.write_text(dump(config))
    assert load([saved], []) == config


def test_without_the_module_the_name_is_unknown(place):
    with pytest.raises(UserError, match=r"unknown model\.name 'alpha'.*; known: sasrec, gru4rec, din$"):
        load([], ["model.name=alpha"])


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("imports=alpha_models", "'imports' on the command line must be a list of text; got 'alpha_models'"),
        ("imports=[gamma_models]", "'imports' on the command line: no module 'gamma_models' is found here"),
        ("imports=[./alpha.py]", r"'\./alpha.py' is not a module"),
    ],
)
def test_what_is_no_module_is_refused(place, word, said):
    with pytest.raises(UserError, match=said):
        load([], [word])


def test_other_imports_make_another_run(place):
    assert load([], []).name != load([], ["imports=[alpha_models]"]).name
