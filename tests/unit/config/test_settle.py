"""The strict merge: who wins, and what every mistake is answered with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from sample_tree import KINDS, TABLES, Amount, Data, Deep, Inner, Optim, Tree, Wide, Word

from ltrec.config.dump import dump
from ltrec.config.settle import leaf_keys, resolve
from ltrec.config.source import read_file, read_overrides
from ltrec.core.errors import UserError


def tree_of(tmp_path: Path, *texts: str, words: tuple[str, ...] = ()) -> Tree:
    """Resolve YAML texts as files a.yaml, b.yaml, ... and words after them."""
    found = []
    for letter, text in zip("abcd", texts, strict=False):
        path = tmp_path / f"{letter}.yaml"
        path.write_text(text, encoding="utf-8")
        found += read_file(path, path.name)
    return resolve(Tree(), [*found, *read_overrides(words)], TABLES, KINDS)


def message(tmp_path: Path, *texts: str, words: tuple[str, ...] = ()) -> str:
    with pytest.raises(UserError) as caught:
        tree_of(tmp_path, *texts, words=words)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_nothing_written_gives_the_defaults(tmp_path: Path) -> None:
    assert tree_of(tmp_path) == Tree()
    assert tree_of(tmp_path, "", "# only a comment\n", "{}", "optim:\n") == Tree()


def test_files_left_to_right_then_words(tmp_path: Path) -> None:
    tree = tree_of(tmp_path, "optim: {lr: 0.1, warmup_steps: 5}\nseed: 1", "optim:\n  lr: 0.2\n", words=("seed=3", "seed=4"))
    assert tree == Tree(seed=4, optim=Optim(lr=0.2, warmup_steps=5))


@pytest.mark.parametrize(
    ("word", "section", "field", "value"),
    [
        ("optim.lr=1e-4", "optim", "lr", 1e-4),
        ("optim.lr=1", "optim", "lr", 1.0),
        ("optim.warmup_steps=1_000", "optim", "warmup_steps", 1000),
        ("optim.warmup_steps=010", "optim", "warmup_steps", 10),
        ("optim.betas=[0.8, 0.9]", "optim", "betas", (0.8, 0.9)),
        ("optim.clip=null", "optim", "clip", None),
        ("optim.clip=2", "optim", "clip", 2.0),
        ("optim.fused=true", "optim", "fused", True),
        ("data.path=/a/b=c", "data", "path", Path("/a/b=c")),
        ("data.path=2014", "data", "path", Path("2014")),
        ("data.time=0.10", "data", "time", "0.10"),
        ("data.time=no", "data", "time", "no"),
        ("data.time=2014-07-01", "data", "time", "2014-07-01"),
        ("data.time=12:30", "data", "time", "12:30"),
        ("data.time=a: b # c", "data", "time", "a: b # c"),
        ("data.time='null'", "data", "time", "null"),
        ("data.time=", "data", "time", ""),
        ("data.entity=null", "data", "entity", None),
        ("data.entity=12", "data", "entity", "12"),
        ("data.unit=ms", "data", "unit", "ms"),
        ("data.cutoffs=[]", "data", "cutoffs", ()),
        ("data.cutoffs=[20]", "data", "cutoffs", (20,)),
        ("data.tags=[1.0, no]", "data", "tags", ("1.0", "no")),
        ("data.inner.depth=7", "data", "inner", Inner(7)),
        ("data={time: t, inner: {depth: 3}}", "data", "inner", Inner(3)),
    ],
)
def test_a_word_sets_a_field_of_its_type(tmp_path: Path, word: str, section: str, field: str, value: object) -> None:
    got = getattr(getattr(tree_of(tmp_path, words=(word,)), section), field)
    assert got == value
    assert type(got) is type(value)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("optim.lr=fast", "'optim.lr' on the command line must be float; got 'fast'"),
        ("optim.lr=true", "'optim.lr' on the command line must be float; got True"),
        ("optim.lr=null", "'optim.lr' on the command line must be float; got None"),
        ("optim.lr=.nan", "'optim.lr' on the command line must be float; got nan"),
        ("optim.lr=nan", "'optim.lr' on the command line must be float; got 'nan'"),
        ("optim.betas=[.9, .nan]", "'optim.betas' on the command line must be a list of 2 values (float, float); got [0.9, nan]"),
        ("optim.lr=[1]", "'optim.lr' on the command line must be float; got [1]"),
        ("optim.lr=" + "9" * 400, "'optim.lr' on the command line must be float; got " + "9" * 77 + "..."),
        ("optim.warmup_steps=5.5", "'optim.warmup_steps' on the command line must be int; got 5.5"),
        ("optim.warmup_steps=true", "'optim.warmup_steps' on the command line must be int; got True"),
        ("optim.clip=x", "'optim.clip' on the command line must be float or null; got 'x'"),
        ("optim.fused=maybe", "'optim.fused' on the command line must be true or false; got 'maybe'"),
        ("optim.betas=0.9", "'optim.betas' on the command line must be a list of 2 values (float, float); got 0.9"),
        ("optim.betas=[0.9]", "'optim.betas' on the command line must be a list of 2 values (float, float); got [0.9]"),
        ("data.cutoffs=[5, ten]", "'data.cutoffs' on the command line must be a list of int; got [5, 'ten']"),
        ("data.cutoffs=[[5]]", "'data.cutoffs' on the command line must be a list of int; got [[5]]"),
        ("data.tags=[a, null]", "'data.tags' on the command line must be a list of text; got ['a', None]"),
        ("data.tags=[{a: 1}]", "'data.tags' on the command line must be a list of text; got [{'a': 1}]"),
        ("data.time=[a]", "'data.time' on the command line must be text; got ['a']"),
        ("data.time=null", "'data.time' on the command line must be text; got None"),
        ("data.unit=h", "'data.unit' on the command line must be one of s, ms; got 'h'"),
    ],
)
def test_a_wrong_type_names_key_place_value_and_type(tmp_path: Path, word: str, expected: str) -> None:
    assert message(tmp_path, words=(word,)) == expected


def test_a_wrong_type_in_a_file_names_file_and_line(tmp_path: Path) -> None:
    text = "seed: 1\noptim:\n  # a remark\n  lr: fast\n"
    assert message(tmp_path, "seed: 2", text) == "'optim.lr' in b.yaml:4 must be float; got 'fast'"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("optim: {lrr: 1}", "unknown key 'optim.lrr' in a.yaml:1 (did you mean 'optim.lr'?)"),
        ("optin: {lr: 1}", "unknown key 'optin.lr' in a.yaml:1 (did you mean 'optim.lr'?)"),
        ("\nlr: 1", "unknown key 'lr' in a.yaml:2 (did you mean 'optim.lr'?)"),
        ("depth: 1", "unknown key 'depth' in a.yaml:1 (did you mean 'data.inner.depth'?)"),
        ("zzzzqqq: 1", "unknown key 'zzzzqqq' in a.yaml:1"),
        ("optim: {lr: {peak: 1}}", "'optim.lr' in a.yaml:1 is a value, not a section; there is no key 'optim.lr.peak'"),
        ("optim: 3", "'optim' in a.yaml:1 is a section, not a value (3); its keys are optim.lr"),
        ("model: 3", "unknown model.name '3' in a.yaml:1; known: wide, deep"),
        ("model: dep", "unknown model.name 'dep' in a.yaml:1 (did you mean 'deep'?); known: wide, deep"),
        ("__class__: 1", "unknown key '__class__' in a.yaml:1"),
        ("optim: {__post_init__: 1}", "unknown key 'optim.__post_init__' in a.yaml:1"),
        ("1: 2", "unknown key '1' in a.yaml:1"),
        ("'': 2", "a key in a.yaml:1 is not a word"),
    ],
)
def test_a_key_that_is_no_key_gets_the_nearest(tmp_path: Path, text: str, expected: str) -> None:
    assert message(tmp_path, text).startswith(expected)


def test_a_dataclass_refuses_a_value_and_the_section_and_place_are_named(tmp_path: Path) -> None:
    assert message(tmp_path, "optim: {lr: 1}", words=("optim.lr=-1",)) == (
        "optim: lr must be positive; got -1.0 (in a.yaml:1, on the command line)"
    )


def test_only_the_final_value_is_checked(tmp_path: Path) -> None:
    assert tree_of(tmp_path, "optim: {lr: -1}", words=("optim.lr=2",)).optim.lr == 2.0


def test_the_last_name_chooses_the_variant(tmp_path: Path) -> None:
    assert tree_of(tmp_path, "model: {blocks: 5, name: deep}").model == Deep(blocks=5)
    assert tree_of(tmp_path, "model: {name: deep, dropout: 0.5}", words=("model.name=wide",)).model == Wide(dropout=0.5)
    assert tree_of(tmp_path, "model: {width: 8}").model == Wide(width=8)


def test_keys_of_an_earlier_variant_are_refused_naming_both(tmp_path: Path) -> None:
    assert message(tmp_path, "model:\n  name: deep\n  blocks: 3", words=("model.name=wide",)) == (
        "'model.blocks' in a.yaml:3 belongs to model 'deep', but model.name is 'wide' (on the command line): "
        "take the key out or choose model.name=deep"
    )
    assert "(by default)" in message(tmp_path, words=("model.blocks=3",))
    assert message(tmp_path, words=("model.name=deep", "model.block=3")).endswith("(did you mean 'model.blocks'?)")


@pytest.mark.parametrize("name", ["depe", "3", "null", "[deep]"])
def test_an_unknown_variant_gets_the_nearest(tmp_path: Path, name: str) -> None:
    said = message(tmp_path, words=(f"model.name={name}",))
    assert said.startswith("unknown model.name") and said.endswith("known: wide, deep")
    assert ("did you mean 'deep'?" in said) == (name in ("depe", "[deep]"))


def test_every_leaf_can_be_set() -> None:
    assert set(leaf_keys(Data(), "data.")) == {
        f"data.{k}" for k in ("path", "time", "unit", "cutoffs", "tags", "inner.depth", "entity", "columns", "only")
    }


TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=20).filter(lambda t: "${" not in t and t != "???")
NAME = TEXT.filter(lambda name: name and "." not in name)
NUMBER = st.floats(allow_nan=False)
TREES = st.builds(
    Tree,
    name=TEXT,
    seed=st.integers(),
    data=st.builds(
        Data,
        path=TEXT.filter(lambda t: "\0" not in t).map(Path),
        time=TEXT,
        unit=st.sampled_from(["s", "ms"]),
        cutoffs=st.lists(st.integers(), max_size=4).map(tuple),
        tags=st.lists(TEXT, max_size=3).map(tuple),
        inner=st.builds(Inner, st.integers()),
        entity=st.none() | TEXT,
        columns=st.dictionaries(NAME, st.builds(Word, least=st.integers(1)) | st.builds(Amount, log=st.booleans()), max_size=3),
        only=st.dictionaries(NAME, st.lists(TEXT, max_size=2).map(tuple), max_size=2),
    ),
    model=st.builds(Wide, width=st.integers(), dropout=NUMBER) | st.builds(Deep, blocks=st.integers(), dropout=NUMBER),
    optim=st.builds(
        Optim, lr=st.floats(min_value=1e-300), betas=st.tuples(NUMBER, NUMBER), clip=st.none() | NUMBER, fused=st.booleans()
    ),
)


@settings(max_examples=60)
@given(tree=TREES)
def test_dump_reloads_to_an_equal_tree(tree: Tree, tmp_path_factory: pytest.TempPathFactory) -> None:
    assert tree_of(tmp_path_factory.getbasetemp(), dump(tree)) == tree


@pytest.mark.parametrize("text", ["\x85", "a\x85b", "\u2028", "\r\n", "1e3", "no"])
def test_every_line_break_and_look_alike_survives_as_text(text: str, tmp_path: Path) -> None:
    """PyYAML takes U+0085 for a line break that may be folded away."""
    tree = Tree(data=Data(time=text, tags=(text, "1e3"), only={text: (text,)}))
    assert tree_of(tmp_path, dump(tree)) == tree


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
KEYS = st.sampled_from([*leaf_keys(Tree()), "optim", "model", "data.inner", "model.blocks"])


@settings(max_examples=60)
@given(key=KEYS, value=VALUES)
def test_any_value_for_any_key_gives_a_tree_or_one_line(key: str, value: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No value at all makes a traceback, and what is accepted survives dump and load."""
    for word in reversed(key.split(".")):
        value = {word: value}
    try:
        tree = tree_of(tmp_path_factory.getbasetemp(), OmegaConf.to_yaml(OmegaConf.create(value)))
    except UserError as error:
        assert "\n" not in str(error)
    else:
        assert tree_of(tmp_path_factory.getbasetemp(), dump(tree)) == tree


@pytest.mark.parametrize("text", ["${oc.env:HOME}", "a ${b}", "???"])
def test_dump_refuses_what_load_would(text: str) -> None:
    with pytest.raises(UserError, match=r"'data\.time' is .* cannot hold"):
        dump(replace(Tree(), data=Data(time=text)))
