"""Hostile configs and command lines."""

from __future__ import annotations

import math
import os
from dataclasses import fields, is_dataclass
from pathlib import Path
from random import Random
from typing import Any

import yaml

from ltrec.cli.main import COMMANDS
from ltrec.config.load import load
from ltrec.config.settle import leaf_keys
from ltrec.config.tree import RunConfig, variants
from ltrec.core.bounds import Between, bounds_of
from tests.support.fuzz import Case, World, train_words
from tests.support.fuzz_values import NUMBERS, WORDS, damaged, nasty


def _bounded() -> dict[str, Between]:
    """Bounds of every number by its dotted key, of the default variants."""
    config = RunConfig()
    sections = {f.name: getattr(config, f.name) for f in fields(config) if is_dataclass(getattr(config, f.name))}
    return {
        f"{section}.{name}": bound
        for section, value in sections.items()
        for name, bound in bounds_of(type(value)).items()
        if isinstance(bound, Between) and not isinstance(getattr(value, name), tuple)
    }


BOUNDED = _bounded()
KEYS = [*leaf_keys(RunConfig())]


def a_config(random: Random, world: World) -> Case:
    """A setting that no config should hold, in a file or as a word; a file that is no YAML."""
    kind = random.randrange(5)
    if kind == 0:  # out of bounds: never silent
        key, bound = random.choice([*BOUNDED.items()])
        value = random.choice([bound.low - 1, bound.low - 10**9, bound.high * 2 + 1, "x", math.nan, [1, 2], {"a": 1}])
        if not (isinstance(value, float) and math.isinf(value)):
            return _config(random, world, key, value, f"{key} cannot be {value!r}")
    if kind == 1:
        text = yaml.safe_dump(_nested({key: nasty(random, 0) for key in random.sample(KEYS, 3)}), allow_unicode=False)
        path = world.scratch / "c.yaml"
        path.write_bytes(damaged(text.encode("utf-8", "replace"), random))
        return Case(["train", str(path), "--print-config"])
    if kind == 2:
        section = random.choice([*variants()])
        return _config(random, world, f"{section}.name", nasty(random), "")
    return _config(random, world, random.choice(KEYS), nasty(random), "")


def _config(random: Random, world: World, key: str, value: Any, broken: str) -> Case:
    if random.random() < 0.5:
        return Case(["train", f"{key}={value}".replace("\0", ""), "--print-config"], broken)
    path = world.scratch / "c.yaml"
    path.write_text(yaml.safe_dump(_nested({key: value})), encoding="utf-8", errors="surrogatepass")
    return Case(["train", str(path), "--print-config"], broken, lambda code: _survives(path) if code == 0 else "")


def _survives(path: Path) -> str:
    """What was accepted must be what it was: reading the file again gives a config equal to itself."""
    first, again = load([path], []), load([path], [])
    return "" if first == again else "the config is not equal to itself"


def _nested(flat: dict[str, Any]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for key, value in flat.items():
        *sections, name = key.split(".")
        here = tree
        for section in sections:
            here = here.setdefault(section, {})
        here[name] = value
    return tree


def a_training(random: Random, world: World) -> Case:
    """Settings that are each possible, together; a short run."""
    choices = {
        "stream.batch_rows": [1, 7, 24, 48],
        "stream.lanes": [1, 5, 24],
        "stream.max_len": [1, 2, 6],
        "stream.composition": ["natural", "quota"],
        "stream.users": ["all", "tail", "head"],
        "model.name": ["sasrec", "gru4rec", "din"],
        "objective.name": [*variants()["objective"]],
        "emphasis.name": [*variants()["emphasis"]],
        "plugin.name": [*variants()["plugin"]],
        "gradients.name": ["joint", "stratified", "aligned"],
        "strategy.name": ["auto", "ddp", "fsdp2"],
        "gradients.mode": ["auto", "weighted", "replay"],
        "strata": [0, 1, 2, 9],
        "gradients.prior.name": ["user", "event", "explicit", "tempered"],
        "gradients.rule.name": [*variants()["gradients.rule"]],
        "adversary.weight": [0, 0.1],
        "trainer.accumulate": [1, 2],
        "trainer.precision": ["32-true", "bf16-mixed", "16-mixed"],
        "trainer.monitor": ["val/ndcg@10", "val/ndgc@10", "x"],
        "optim.lr": [1e-3, 1e30],
        "plugin.switch.by": ["epoch", "step", "plateau"],
        "evaluation.head_from": [1, 5, 10**9],
        "resume": ["auto", "never", "nowhere.ckpt", "/dev/null", "."],
        "init_from": ["", "nowhere", str(world.run)],
    }
    keys = random.sample([*choices], random.randrange(1, 5))
    plain = [word for word in train_words(world.data, world.scratch / "runs") if not word.startswith(("model.", "objective."))]
    words = [*plain, "model.width=8", "trainer.max_epochs=1", "trainer.max_steps=2"]
    return Case(["train", *words, *(f"{key}={random.choice(choices[key])}" for key in keys)])


SAFE = [word for word in WORDS if "\0" not in word and word not in ("", " ", "/", "..", "~", "-", "--")]
"""Words that name nothing outside of a case's own folder."""


def a_path(random: Random, world: World) -> tuple[str, bool]:
    """A path as a user may name one, and whether nothing good can come of reading it."""
    place = world.scratch
    kind = random.randrange(11)
    if kind == 0:
        (place / "loop").symlink_to(place / "loop")
        return str(place / "loop"), True
    if kind == 1:
        os.mkfifo(place / "pipe")
        return str(place / "pipe"), True
    if kind == 2:
        (place / "file").write_bytes(random.randbytes(100))
        return str(place / "file"), True
    if kind == 3:
        (place / "file").write_text("x")
        return str(place / "file" / "below"), True
    if kind == 4:
        (place / "empty").mkdir()
        return str(place / "empty"), True
    if kind == 5:
        (place / "[/x]").mkdir(parents=True)
        return str(place / "[/x]"), True
    if kind == 6:
        (place / "gone").symlink_to(place / "nowhere")
        return str(place / "gone"), True
    return random.choice([*SAFE, "/dev/zero", "/dev/full", "/proc/self/mem", "x" * 5000]), True


OPTIONS = {
    "verify": [],
    "evaluate": ["--split", "--checkpoint", "--compare", "--nope"],
    "predict": ["--out", "--k", "-k", "--checkpoint", "--nope"],
    "report": ["--out", "--nope"],
    "prepare": ["--out", "--config", "--user", "--time-unit", "--split", "--overwrite", "--nope"],
    "train": ["--print-config", "--profile", "--resume", "--nope"],
    "fetch": ["--out", "--users", "--items", "--seed", "--events-per-user"],
}


def a_command_line(random: Random, world: World) -> Case:
    """A command with a path that leads nowhere good, or options that are none."""
    if random.random() < 0.1:
        word = random.choice([*WORDS, "x" * 5000]).replace("\0", "")
        return Case([word], "" if word in ("", "-") or word in COMMANDS else "it is no command")
    name = random.choice([*OPTIONS])
    path, broken = a_path(random, world)
    if name == "predict" and random.random() < 0.5:
        return _prediction(random, world)
    extra = [random.choice([option, str(random.choice([*NUMBERS, *SAFE]))]) for option in OPTIONS[name]]
    words = [path, *random.sample(extra, random.randrange(len(extra) + 1))]
    reads = not {"--help", "-h", "--print-config"} & set(words) and not path.startswith("-") and path.strip()
    return Case([name, *words], f"{path[:80]!r} is nothing to {name}" if broken and reads and name != "train" else "")


def _prediction(random: Random, world: World) -> Case:
    """A good run, and a place where no file can go."""
    path = world.scratch / "target"
    kind = random.choice(["folder", "pipe", "device", "loop", "through a file", "long"])
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind in ("device", "loop"):
        path.symlink_to("/dev/null" if kind == "device" else path)
    elif kind == "through a file":
        path.write_text("x")
        path = path / "below" / "x.parquet"
    else:
        path = path / ("z" * 300)
    return Case(["predict", str(world.run), "--out", str(path), "-k", "3"], f"--out is a {kind}")
