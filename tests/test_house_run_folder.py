"""House rule: the names of files in a run folder are written once, in `ltrec/core/storage/run_folder.py`; others ask there.

Tests, sentences to the user and docstrings may name them: they are what a user sees.
"""

import ast
from fnmatch import fnmatch
from pathlib import Path

import pytest

from ltrec.core.storage.run_folder import RunFolder, checkpoint_file_name, crash_file_name
from tests.support.source_tree import parsed, python_files

OWNER = Path("ltrec/core/storage/run_folder.py")

NAMES = [
    *(
        "config.yaml",
        "provenance.json",
        "provenance.damaged.json",
        "metrics.jsonl",
        "choices.json",
        "similar.parquet",
        "owner.json",
        "quarantine.json",
        "commit.json",
    ),
    *("train.log", "train.sbatch", "*.ckpt", "crash-*", "baseline-*", "slurm-*.log", "top-k.parquet", "trace.json.gz"),
]
"""Patterns that are no English words: nobody else may have them as a string of their own."""

WORDS = {
    *(
        "checkpoints",
        "eval",
        "report",
        "launch",
        "code",
        "memory",
        "neighbours",
        "predictions",
        "index",
        "profile",
        "stalls",
        "wandb",
        "loggers",
    ),
    *("STOP", "REQUEUE", "THROW-AWAY", ".lock", "state", "test.parquet", "valid.parquet", "test.json", "valid.json"),
}
"""Names that are words as well: nobody else may make a path of them."""

FOLDERS = {"eval", "launch", "memory", "neighbours", "report", "profile", "stalls", "predictions"}
"""Attributes of `RunFolder` below which nobody else names a file."""

EXCEPT = {"ltrec/launch/slurm/script.py": "train.sbatch is also the name of the template in slurm/"}

ON_PATHS = {"joinpath", "with_name", "glob", "rglob"}


def text_of(node):
    """A string, with `*` for what is filled in; None for anything else."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "*" for part in node.values)
    return None


def divisions(tree):
    return (node for node in ast.walk(tree) if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div))


def strings(tree):
    """(line, text, whether a path is made of it) of every string that is no docstring and no sentence."""
    inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    documents = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    joined = {id(node.right) for node in divisions(tree)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ON_PATHS:
            joined |= {id(argument) for argument in node.args}
    for node in ast.walk(tree):
        text = text_of(node)
        if text is not None and " " not in text and id(node) not in inside | documents:
            yield node.lineno, text, id(node) in joined


def offenders(tree):
    return [
        f"line {line}: {text!r}"
        for line, text, is_path in strings(tree)
        if any(fnmatch(text, name) for name in NAMES) or (is_path and text in WORDS)
    ] + [
        f"line {node.lineno}: a path below .{node.left.attr}"
        for node in divisions(tree)
        if getattr(node.left, "attr", "") in FOLDERS
    ]


def test_the_names_in_a_run_folder_are_written_once():
    files = [path for path in python_files("ltrec", "benchmarks") if path != OWNER and str(path) not in EXCEPT]
    assert {str(path): found for path in files if (found := offenders(parsed(path)))} == {}, "ask ltrec.core.storage.run_folder"


@pytest.mark.parametrize(
    "text", ['x = folder / "eval"', 'x = f"{name}.ckpt"', 'FILE = "config.yaml"', 'x.glob("*.ckpt")', "run.eval / name"]
)
def test_the_rule_sees_a_name(text):
    assert len(offenders(ast.parse(text))) == 1


@pytest.mark.parametrize("text", ['"""config.yaml"""', 'say(f"{x}: see config.yaml")', 'mode = "eval"', 'x = a / "b"'])
def test_the_rule_lets_words_be(text):
    assert offenders(ast.parse(text)) == []


def test_the_rule_knows_every_name():
    run = RunFolder(Path("r"))
    parts = {part for name in vars(RunFolder) if isinstance(vars(RunFolder)[name], property) for part in getattr(run, name).parts}
    parts |= {checkpoint_file_name("x"), crash_file_name("t", 1), run.eval_table("test").name, run.eval_table("test", "b").name}
    parts |= {run.eval_summary("test").name} - {"r"}
    unknown = {part for part in parts - {"r"} if part not in WORDS and not any(fnmatch(part, name) for name in NAMES)}
    assert unknown == {"neighbours.parquet", "histories"}, "words of the data's as well"
