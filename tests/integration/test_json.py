"""`--json`: one line for scripts on stdout, everything else on stderr; and what people read fits 80 columns."""

import json
import subprocess
import sys

import pytest

from ltrec.evaluation.baselines import BASELINES
from tests.support.source_tree import ROOT
from tests.support.tiny_run import tiny_data, tiny_words


def ltrec(*words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    found = subprocess.run([sys.executable, "-m", "ltrec", *words], capture_output=True, text=True, cwd=ROOT, check=False)
    assert found.returncode == code, found.stderr
    return found


def answer(*words: str) -> dict:
    found = ltrec(*words, "--json")
    assert found.stdout.count("\n") == 1 and found.stdout.endswith("\n"), found.stdout
    assert found.stderr
    return json.loads(found.stdout, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("json")
    data = tiny_data(folder / "data")
    words = tiny_words(data, folder, "trainer.max_epochs=2")
    return folder, words, answer("train", *words)


def test_train(run):
    folder, words, told = run
    assert told["run"] == f"{folder}/r" and told["step"] == 8 and told["epoch"] == 2 and told["monitor"] == "val/ndcg@10"
    assert 0 < told["best"] < 1 and told["checkpoint"] == f"{folder}/r/checkpoints/best.ckpt"
    assert answer("train", *words) == told  # finished: the same again


def test_evaluate_prints_json_and_a_screenful(run):
    folder = run[0]
    told = answer("evaluate", f"{folder}/r", "--compare", f"{folder}/r")
    assert told["split"] == "test" and told["runs"][0]["run"] == f"{folder}/r"
    assert {"all", "tail", "head", "stratum=0"} <= told["runs"][0]["groups"].keys()
    assert set(BASELINES) == told["runs"][0]["baselines"].keys()
    metric = told["runs"][0]["groups"]["all"]["ndcg@10"]
    assert metric["low"] <= metric["mean"] <= metric["high"]
    assert told["comparison"]["groups"]["all"]["metrics"]["ndcg@10"]["change"]["mean"] == 0
    assert told["gate"]["verdict"] == "inconclusive"
    shown = ltrec("evaluate", f"{folder}/r").stdout.splitlines()
    assert len(shown) <= 34 and max(len(row) for row in shown if "0." in row and "/" not in row and "ranking" not in row) <= 80


@pytest.mark.slow
def test_predict_report_doctor_and_verify(run, tmp_path):
    folder = run[0]
    told = answer("predict", f"{folder}/r", "--out", f"{tmp_path}/p.parquet", "-k", "3")
    assert told["predictions"] == f"{tmp_path}/p.parquet" and told["rows"] == 90 * 3 and told["k"] == 3
    ltrec("evaluate", f"{folder}/r")
    assert answer("report", f"{folder}/r", "--out", str(tmp_path))["report"] == f"{tmp_path}/index.html"
    assert {"verdict", "name", "says", "remedy", "machine"} == answer("doctor", "--out", str(tmp_path))["findings"][0].keys()


def test_prepare_and_verify_print_the_same(tmp_path):
    log = tmp_path / "log.csv"
    log.write_text("user,item,time\n" + "".join(f"u{u},i{(u + n) % 7},{1000 + n}\n" for u in range(9) for n in range(4)))
    first = answer("prepare", str(log), "--out", f"{tmp_path}/d", "--user", "user", "--item", "item", "--time", "time")
    assert first["rows"] == 36 and first["events"] == 36 and first["users"] == 9 and first["items"] == 7
    assert first["up_to_date"] is False and sum(z["users"] for z in first["strata"]) == 9
    assert answer("verify", f"{tmp_path}/d") == {**first, "up_to_date": True}


def test_a_failure_prints_nothing_on_stdout(tmp_path):
    found = ltrec("evaluate", f"{tmp_path}/none", "--json", code=2)
    assert found.stdout == "" and "is not a run folder" in found.stderr
