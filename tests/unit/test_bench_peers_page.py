"""benchmarks/peers: from lines of figures to ratios, targets, page and picture."""

import pytest

from benchmarks.peers import tables
from benchmarks.peers.page import PAGE, RESULTS, write_page
from benchmarks.peers.sitting import ledger_in
from benchmarks.peers.summary import Summary, value
from benchmarks.peers.tables import BARS, CELLS, OTHERS, OWN, ROUNDED, SYSTEMS, Bar


def lines(folder, costs, *, log="beauty", length=50, rounds=3):
    """Results of systems that cost so much: round r costs 1 + r times as much, but for the last system's, which cost twice that."""
    for turn in range(rounds):
        for name, cost in costs.items():
            scale = (1 + turn) * cost
            figures = {"epochs_s": [9 * scale, scale], "targets": [1000, 1000], "evaluation_s": scale, "users": 1000}
            names = {
                "phase": "peers",
                "data": log,
                "length": length,
                "system_name": name,
                "round": turn,
                "key": f"{name}{turn}{length}",
            }
            more = {"peak_mib": 100 * cost, "hr": 0.1, "ndcg": 0.05, "steps": 16 if name in OTHERS else 0, "system": f"{name} 1.0"}
            ledger_in(folder).add({**names, **figures, **more})


def test_ratios_are_of_runs_in_one_round(tmp_path):
    lines(tmp_path, {OWN: 2.0, "replay": 40.0, "recbole": 10.0})
    lines(tmp_path, {"rectools": 50.0}, rounds=2)
    summary = Summary.read(tmp_path)
    assert summary.ratio("beauty", 50, "replay", "training") == pytest.approx(20)
    assert summary.ratio("beauty", 50, "rectools", "evaluation") == pytest.approx(25)
    assert summary.median("beauty", 50, OWN, "training") == pytest.approx(2 * 2.0 / 1000), "of rounds that cost 1, 2 and 3 times"
    assert summary.ratio("beauty", 200, "replay", "training") is None
    assert summary.cells() == [("beauty", 50)]
    assert summary.reached(Bar("memory", "beauty", 50, "", 2.5)) == pytest.approx(5), "the least of all"
    assert value({"epochs_s": [4.0, 3.0], "targets": [2, 3]}, "training") == 1.0, "the cheapest epoch"
    found = summary.to_dict()
    assert found["ratios"]["beauty at 50"]["recbole"] == {"training": 5.0, "evaluation": 5.0, "memory": 5.0}
    assert {(bar["measure"], bar["of"], bar["met"]) for bar in found["targets"]} == {
        ("training", "recbole", False),
        ("training", "replay", True),
        ("evaluation", "the least", True),
        ("memory", "the least", True),
    }


def test_the_newest_line_counts(tmp_path):
    lines(tmp_path, {OWN: 1.0, "replay": 9.0}, rounds=1)
    lines(tmp_path, {"replay": 3.0}, rounds=1)
    assert Summary.read(tmp_path).ratio("beauty", 50, "replay", "training") == pytest.approx(3)


def test_the_page_and_the_figure(tmp_path):
    results, page = tmp_path / "results", tmp_path / "page" / "peers.md"
    page.parent.mkdir()
    lines(results, {OWN: 1.0, ROUNDED: 0.5, "replay": 21.0, "recbole": 14.0})
    lines(results, {OWN: 1.0, "replay": 4.0}, log="ml-100k", length=200, rounds=1)
    write_page(results, page)
    text = page.read_text()
    assert "| replay 1.0 | 3 | 42,000 | 21.00 | 42,000 | 21.00 | 2,100 | 21.00 | .1000 | .0500 |" in text
    assert "| training | beauty at 50 | RePlay | 20 | 21.00 | yes | 42.00 |" in text
    assert "| training | beauty at 50 | RecBole | 15 | 14.00 | **no** | 28.00 |" in text
    assert "| evaluation | beauty at 200 | the least | 3 | not measured |" in text
    assert text.count("Epochs of the others were cut after 16 steps") == 2
    assert all(what in text for system in SYSTEMS.values() for what in system.unequal)
    picture = page.with_suffix(".png").read_bytes()
    assert picture.startswith(b"\x89PNG") and "(peers.png)" in text
    write_page(results, page)
    assert page.read_text() == text and page.with_suffix(".png").read_bytes() == picture


def test_a_page_without_results(tmp_path):
    write_page(tmp_path, tmp_path / "peers.md")
    assert "not measured" in (tmp_path / "peers.md").read_text()
    assert not (tmp_path / "peers.png").exists()


def test_the_committed_page_is_made_of_the_committed_results(tmp_path):
    write_page(RESULTS, tmp_path / PAGE.name)
    assert (tmp_path / PAGE.name).read_text() == PAGE.read_text()


def test_targets_are_of_cells_and_libraries_that_are_measured():
    known = {(cell.log, cell.length) for cell in CELLS}
    assert known == {(log, length) for log in tables.PREPARE for length in (50, 200)}
    assert {(bar.log, bar.length) for bar in BARS} <= known and {bar.system for bar in BARS} <= {"", *OTHERS}
