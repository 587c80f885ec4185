"""The real tree: it loads, dumps and reloads; names are safe; every variant can be chosen."""

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from ltrec.config.convert import describe
from ltrec.config.identity import named
from ltrec.config.load import dump, load, split_arguments
from ltrec.config.settle import leaf_keys
from ltrec.config.tree import RunConfig, variants
from ltrec.core.errors import UserError

WRITABLE = re.compile(r"(a list of )?(text|int|float|true or false|one of .*|sections|\{class_path: .*\})( or null| by name)?")
CHOICES = [(section, name) for section, table in variants().items() for name in table]
AROUND = {
    "plugin.trained": "plugin.name=memory",
    "gradients.prior": "gradients.name=stratified",
    "gradients.rule": "gradients.name=stratified",
    "gradients.after_switch.prior": "gradients.name=aligned",
    "gradients.after_switch.rule": "gradients.name=aligned",
}
"""What must be chosen before a section inside a variant."""


def choosing(section: str, name: str) -> list[str]:
    return [*([AROUND[section]] if section in AROUND else []), f"{section}.name={name}"] if section else []


def at(config: Any, path: str) -> Any:
    for word in path.split("."):
        config = getattr(config, word)
    return config


def reload(config: RunConfig, folder: Path) -> RunConfig:
    path = folder / "config.yaml"
    path.write_text(dump(config), encoding="utf-8")
    return load([path], [])


def test_defaults_load_and_reload(tmp_path: Path) -> None:
    assert load([], []) == named(RunConfig())
    assert reload(RunConfig(), tmp_path) == named(RunConfig())


@pytest.mark.parametrize(("section", "name"), CHOICES)
def test_every_variant_is_chosen_by_its_name_and_survives(section: str, name: str, tmp_path: Path) -> None:
    config = load([], choosing(section, name))
    assert at(config, section).name == name
    assert at(config, section) == variants()[section][name]()
    assert load([], [word.replace(".name=", "=") for word in choosing(section, name)]) == config, "short for the same"
    assert reload(config, tmp_path) == config


def test_every_leaf_is_of_a_type_that_can_be_written() -> None:
    """A field that YAML cannot hold (a dict, a callable) would make runs that do not reload."""
    seen = 0
    for section, name in [("", ""), *CHOICES]:
        for owner in _sections(load([], choosing(section, name))):
            for key, hint in get_type_hints(type(owner)).items():
                if not is_dataclass(getattr(owner, key)):
                    assert WRITABLE.fullmatch(describe(hint)), f"{section}.{key}: {hint}"
                    seen += 1
    assert seen > 50


def _sections(tree: Any) -> list[Any]:
    inner = [getattr(tree, f.name) for f in fields(tree)]
    return [tree, *(owner for value in inner if is_dataclass(value) for owner in _sections(value))]


def test_a_type_error_of_every_number_is_one_line_with_its_key() -> None:
    config = RunConfig()
    checked = 0
    for key in leaf_keys(config):
        value = config
        for word in key.split("."):
            value = getattr(value, word)
        if isinstance(value, int | float):
            with pytest.raises(UserError, match=f"^'{key}' on the command line must be .*; got 'fast'$"):
                load([], [f"{key}=fast"])
            checked += 1
    assert checked > 40


def test_a_typo_is_answered_with_the_nearest_key(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("optim:\n  lrr: 0.1\n")
    with pytest.raises(UserError, match=r"^unknown key 'optim\.lrr' in .*x\.yaml:2 \(did you mean 'optim\.lr'\?\)$"):
        load([path], [])
    with pytest.raises(UserError, match=r"^unknown key 'lr' on the command line \(did you mean 'optim\.lr'\?\)$"):
        load([], ["lr=3"])


def test_keys_of_the_loss_that_was_switched_off_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("objective:\n  name: sampled_softmax\n  proposal: popularity\n")
    assert load([path], []).objective.name == "sampled_softmax"
    with pytest.raises(UserError, match=r"'objective\.proposal' in .*:3 belongs to objective 'sampled_softmax', but .* is 'bce'"):
        load([path], ["objective.name=bce"])


def test_a_variant_inside_a_variant_is_chosen_and_kept_whatever_the_order(tmp_path: Path) -> None:
    words = ["plugin.trained.shrink=4", "plugin.trained.name=bottleneck", "plugin.counting.max_gap=3", "plugin.name=memory"]
    config = load([], words)
    assert (config.trained_plugin.name, config.plugin.trained.shrink, config.memory.counting.max_gap) == ("bottleneck", 4, 3)
    assert reload(config, tmp_path) == config
    assert load([], ["plugin.name=memory"]).trained_plugin == load([], []).trained_plugin
    assert load([], []).memory is None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["plugin.trained.name=bottleneck"], r"'plugin\.trained\.name' .* belongs to plugin 'memory', but plugin\.name is 'none'"),
        (["plugin.name=melt", "plugin.trained.name=none"], r"belongs to plugin 'memory', but plugin\.name is 'melt'"),
        (["plugin.name=bottleneck", "plugin.counting.max_gap=3"], r"'plugin\.counting\.max_gap' .* belongs to plugin 'memory'"),
        (["plugin.name=memory", "plugin.shrink=4"], r"'plugin\.shrink' .* belongs to plugin 'bottleneck', but .* 'memory'"),
        (
            ["plugin.name=memory", "plugin.trained.shrink=4"],
            r"belongs to plugin\.trained 'bottleneck', but plugin\.trained\.name is 'n",
        ),
        (
            ["plugin.name=memory", "plugin.trained.name=memory"],
            r"unknown plugin\.trained\.name 'memory' .*; known: none, bottleneck",
        ),
        (
            ["plugin.name=memory", "plugin.trained.nme=x"],
            r"unknown key 'plugin\.trained\.nme' .*did you mean 'plugin\.trained\.name'",
        ),
        (["plugin.name=memory", "plugin.counting.max_gab=1"], r"unknown key .*did you mean 'plugin\.counting\.max_gap'"),
        (
            ["plugin.name=memory", "plugin.trained=bottlenec"],
            r"unknown plugin\.trained\.name 'bottlenec' .*did you mean 'bottleneck'",
        ),
        (
            ["plugin.name=memory", "plugin.counting=3"],
            r"'plugin\.counting' .* is a section, not a value \(3\); its keys are plugin\.c",
        ),
        (["plugin.name=memory", "plugin.weights=[0.5,1]"], r"plugin: weights must be below 1 with form=mix"),
        (["plugin.name=memory", "plugin.weights=[0.5,0.2]"], r"plugin: weights must be ascending; got \[0\.5, 0\.2\]"),
        (["plugin.name=memory", "plugin.weights=[0.5]", "plugin.per_stratum=true"], r"per_stratum=true has nothing to choose"),
        (["plugin.name=memory", "plugin.shrinkage=9"], r"shrinkage=9 has no effect with per_stratum=false"),
        (["plugin.name=memory", "plugin.counting.max_gap=0"], r"plugin\.counting: max_gap must be at least 1"),
    ],
)
def test_a_mistake_about_a_variant_inside_a_variant_is_one_line(words: list[str], said: str) -> None:
    with pytest.raises(UserError, match=said) as caught:
        load([], words)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "../x", "/etc", "-rf", ".hidden", "a b", "a\\b", "ä", "x" * 101, "a\tb", "$(ls)", "a;b", "CON:"]
)
def test_hostile_run_names_are_refused(name: str) -> None:
    with pytest.raises(UserError, match="name is"):
        load([], [f'name="{name}"' if "\\" not in name and "\t" not in name else f"name={name.strip()}".replace("\t", " ")])


@pytest.mark.parametrize("name", ["run", "beauty-64_v1.2", "5", "1.10", "no", "2026-07-01", "_x", "x" * 100])
def test_ordinary_run_names_are_kept_as_written(name: str) -> None:
    assert load([], [f"name={name}"]).name == name


def test_a_name_may_carry_the_digest_of_what_makes_another_run(tmp_path: Path) -> None:
    words = ["name=a-{digest}-b", "data.path=d"]
    first = load([], words)
    assert re.fullmatch(r"a-[0-9a-f]{8}-b", first.name)
    assert reload(first, tmp_path).name == first.name, "a run's own config keeps its name"
    same = ["trainer.max_epochs=7", "out=elsewhere", "resume=never", "evaluation.top_k=70", "data.path=./d/"]
    assert {load([], [*words, word]).name for word in same} == {first.name}
    other = ["optim.lr=0.5", "seed=1", "data.path=e", "model.name=gru4rec", "trainer.accumulate=2", "init_from=x"]
    assert len({load([], [*words, word]).name for word in other} | {first.name}) == len(other) + 1
    assert re.fullmatch(r"run-[0-9a-f]{8}", load([], []).name)


def test_a_renamed_key_changes_no_digest() -> None:
    """Pinned before `stream.window_blocks` became `stream.buffer_blocks`. Another number: a key or a default has changed."""
    assert load([], ["data.path=d", "stream.buffer_blocks=3"]).name == "run-7b1c662e"


def test_a_key_that_came_later_changes_the_digest_only_where_it_is_set() -> None:
    plain, words = load([], []).name, ["inputs.items=[brand]", "inputs.events=[time_gap]", "inputs.users=[age]"]
    assert len({load([], [word]).name for word in words} | {plain}) == len(words) + 1


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("seed=-1", "seed must be at least 0; got -1"),
        ("seed=4294967296", "seed must be at most 4294967295; got 4294967296"),
        ("out=", "out is empty"),
    ],
)
def test_the_root_checks_itself(word: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        load([], [word])


def test_sections_check_themselves_and_are_named() -> None:
    with pytest.raises(UserError, match=r"^optim: lr must be above 0; got -1.0 \(on the command line\)$"):
        load([], ["optim.lr=-1"])
    with pytest.raises(UserError, match=r"^'trainer.precision' on the command line must be one of 32-true, .*; got '8'"):
        load([], ["trainer.precision=8"])


def test_arguments_are_split_into_files_and_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "stratum=0.yaml").write_text("")
    files, words = split_arguments(["a.yaml", "seed=1", "stratum=0.yaml", "b.yaml", "name=x.yaml"])
    assert files == ["a.yaml", "stratum=0.yaml", "b.yaml"]
    assert words == ["seed=1", "name=x.yaml"]


@settings(max_examples=40)
@given(
    words=st.fixed_dictionaries(
        {},
        optional={
            "seed": st.integers(0, 2**32 - 1),
            "name": st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,20}", fullmatch=True),
            "out": st.text(st.characters(categories=("L", "N", "P", "Zs")), min_size=1, max_size=10).filter(
                lambda t: t.strip() and "${" not in t and t != "???"
            ),
            "optim.lr": st.floats(min_value=1e-30, max_value=1e6),
            "model.width": st.integers(1, 2**15).map(lambda half: 2 * half),
            "objective.name": st.sampled_from(sorted(variants()["objective"])),
            "evaluation.item_shares": st.lists(st.floats(0.01, 0.99), min_size=1, max_size=4, unique=True).map(sorted),
            "tracking.entity": st.none() | st.sampled_from(["null", "~", "a b", "12"]),
            "prepare.sources": st.lists(st.text(st.characters(exclude_categories=("Cs",)), max_size=8), max_size=3),
        },
    )
)
def test_what_words_say_survives_the_run_folder(words: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> None:
    dotted = OmegaConf.create({})
    for key, value in words.items():
        OmegaConf.update(dotted, key, value)
    folder = tmp_path_factory.getbasetemp()
    (folder / "words.yaml").write_text(OmegaConf.to_yaml(dotted), encoding="utf-8")
    try:
        config = load([folder / "words.yaml"], [])
    except UserError as error:  # a generated source may hold ${...}
        assert "interpolations" in str(error)
        return
    for key, value in words.items():
        got: Any = config
        for word in key.split("."):
            got = getattr(got, word)
        assert got == (tuple(value) if isinstance(value, list) else value)
    assert reload(config, folder) == config
