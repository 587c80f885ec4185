"""A metric given reach: shares and means by distance against plain loops, and the sentences, figures and table made of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ltrec.evaluation.groups.reach import reach_line, summarise_reach
from ltrec.evaluation.table import EvalTable
from ltrec.reporting.html import write_report
from ltrec.reporting.plots.reach import reach_shares
from ltrec.reporting.sections.reach import UNKNOWN_REACH, reach_text, reached
from ltrec.reporting.sentences import DASH
from tests.support.evaluation import HEAD_FROM, eval_table
from tests.support.fake_run import fake_run
from tests.support.report_page import CONFIG, read, squeezed

CONFIG_FEW = replace(CONFIG, bootstrap_samples=50)


def ndcg(rank):
    return 1 / np.log2(1 + rank) if rank <= 10 else 0.0


users = st.lists(
    st.tuples(st.integers(1, 15), st.sampled_from([0, 1, 4, 5, 8, 9, 30]), st.integers(-1, 3)), min_size=1, max_size=40
)


@settings(max_examples=40)
@given(users, st.integers(1, 2))
def test_shares_and_means_are_those_of_a_loop(rows, seeds):
    rank, activity, reach = (list(column) for column in zip(*rows, strict=True))
    ranks = [rank, [1 + r % 15 for r in rank]][:seeds]
    tables = [eval_table(r, activity, reach=reach, seed=s) for s, r in enumerate(ranks)]
    found = summarise_reach(tables, CONFIG_FEW)
    warm = [n for n, a in enumerate(activity) if a > 0]
    if not any(reach[n] >= 0 for n in warm):
        assert found is None
        return
    assert found.known_share == sum(reach[n] >= 0 for n in warm) / len(warm)
    groups = {
        "all": warm,
        "tail": [n for n in warm if activity[n] < HEAD_FROM],
        "head": [n for n in warm if activity[n] >= HEAD_FROM],
    }
    groups |= {
        f"stratum={z}": [n for n in warm if low <= activity[n] < high] for z, (low, high) in enumerate([(1, 5), (5, 9), (9, 99)])
    }
    assert set(found.groups) == set(groups)
    for key, members in groups.items():
        for distance in range(4):
            mine = [n for n in members if reach[n] == distance]
            assert found.groups[key].users[distance] == len(mine)
            mean = np.mean([ndcg(r[n]) for r in ranks for n in mine]) if mine else np.nan
            estimate = found.groups[key].metric[distance]
            assert estimate.mean == pytest.approx(mean, nan_ok=True)
            assert not mine or (estimate.low <= mean + 1e-12 and mean <= estimate.high + 1e-12)


def a_tail(far, near_rank, head_rank):
    """Ten tail users, of whom `far` are beyond and the others one link away, and ten of the head, one link away."""
    rank = [11] * far + [near_rank] * (10 - far) + [head_rank] * 10
    return eval_table(rank, [3] * 10 + [20] * 10, reach=[3] * far + [1] * (20 - far))


@pytest.mark.parametrize(
    ("near", "head", "meaning"),
    [
        (1, 5, "Where there is a link the tail is served better than the head: what it lacks is links."),
        (5, 1, "Where there is a link the tail is still served worse than the head: links alone do not explain its gap."),
        (3, 3, "Where there is a link the two are not told apart."),
    ],
)
def test_the_words_tell_what_the_tail_lacks(near, head, meaning):
    first, second = reach_text(summarise_reach([a_tail(4, near, head)], CONFIG_FEW))
    assert first == (
        "40% of the tail's targets are beyond two links from the history (0% of the head's): no chain of two direct transitions "
        "leads to them."
    )
    near_by = f"One link away the tail reaches NDCG@10 {ndcg(near):.4f} and the head {ndcg(head):.4f}"
    expected = f"{near_by}; beyond two links the tail reaches 0.0000."
    assert second == f"{expected} {meaning}"


def test_the_words_without_a_head_without_a_tail_and_of_a_sample():
    tail = eval_table([1, 2], [3, 3], reach=[1, -1])
    assert reach_text(summarise_reach([tail], CONFIG_FEW)) == (
        "Nearly every target of the tail is within two links of the history: reach sets no limit here. "
        "Distances are known of 50.0% of the users, drawn by chance.",
        "One link away the tail reaches NDCG@10 1.0000.",
    )
    head = eval_table([1], [20], reach=[2])
    assert reach_text(summarise_reach([head], CONFIG_FEW)) == ("No tail user was evaluated whose target's distance is known.",)


def test_the_line_of_the_screen():
    table = eval_table([1] * 8, [3] * 4 + [20] * 4, reach=[1, 2, 3, 3, 1, 1, 1, 2])
    assert reach_line(table, CONFIG) == (
        "targets of the tail (head): 25% (75%) one link from the history, 25% (25%) two, 50% (0%) beyond"
    )
    repeats = eval_table([1] * 2, [3] * 2, reach=[0, 1])
    assert reach_line(repeats, CONFIG) == "targets of the tail: 50% one link from the history, 0% two, 0% beyond, 50% in it"
    assert reach_line(eval_table([1], [3]), CONFIG) is None


def test_the_table_and_the_figures_say_the_same_of_both_scorers():
    mine, base = a_tail(4, 1, 5), a_tail(4, 5, 1)
    found = reached("new", summarise_reach([mine], CONFIG_FEW), "joint", summarise_reach([base], CONFIG_FEW))
    assert found.table.columns == (
        "", "Users", "One link", "Two links", "Beyond", "new: one link", "new: two links", "new: beyond", "joint: one link",
        "joint: two links", "joint: beyond",
    )  # fmt: skip
    tail = next(row for row in found.table.rows if row.accent == "tail")
    assert [cell.value for cell in tail.cells] == [
        "10", "60.0%", "0.0%", "40.0%", "1.0000", DASH, "0.0000", f"{ndcg(5):.4f}", DASH, "0.0000",
    ]  # fmt: skip
    assert "1-4 events: 60% one link, 40% beyond; 9+ events: 100% one link, 0% beyond." in found.shares.image.alt
    assert "new, one link: 1.0000 (1.0000 to 1.0000), 0.3869 (0.3869 to 0.3869)" in found.given.image.alt
    assert "joint, beyond: 0.0000" in found.given.image.alt and "Hollow: joint." in found.given.image.caption


def test_repeats_and_empty_strata_and_nobody_in_a_stratum():
    table = eval_table([1, 2, 30], [3, 3, 20], reach=[0, 2, 0])
    found = reached("new", summarise_reach([table], CONFIG_FEW), "", None)
    assert found.table.columns[2] == "In the history"
    assert "5-8" not in found.shares.image.alt
    kept_out = eval_table([1, 2], [0, 0], history=[3, 3], stratum=[-1, -1], reach=[1, 2])
    absent = reached("new", summarise_reach([kept_out], CONFIG_FEW), "", None)
    assert absent.shares.image is None and absent.given.absent == "No evaluated user belongs to a stratum."


def test_figures_of_one_stratum_and_of_zeros():
    reach_shares(("1+",), np.array([[0, 1, 0, 0]]))
    summary = summarise_reach([eval_table([50, 50], [3, 3], reach=[1, 3])], CONFIG_FEW)
    assert reached("x", summary, "", None).given.image.width > 0


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    mine, base = (fake_run(folder / name, users=300, seed=1, lift=lift) for name, lift in (("mine", 0.4), ("base", 0.0)))
    for run in (mine, base):
        text = (run / "config.yaml").read_text(encoding="utf-8")
        (run / "config.yaml").write_text(text.replace("name: sasrec", f"name: {run.name}"), encoding="utf-8")
    return mine, base


def test_the_section_stands_below_the_answer_and_holds_figures_words_and_table(runs, tmp_path):
    page = read(write_report(runs, CONFIG_FEW, tmp_path))
    text = squeezed(page.text)
    assert "of the tail's targets are beyond two links from the history" in text
    sections = ("How well each group is served", "One link away the tail reaches", "Where in the long tail")
    places = [text.rindex(section) for section in sections]
    assert places == sorted(places)
    assert {"reach.png", "reach-dark.png", "reach-given.png", "reach-given-dark.png"} <= {p.name for p in tmp_path.iterdir()}
    assert any((attrs.get("alt") or "").startswith("Share of targets by distance") for attrs in page.attributes("img"))
    assert "mine: one link" in text and "base: beyond" in text and UNKNOWN_REACH not in text


def test_a_run_of_a_data_set_without_reach_has_one_line(tmp_path):
    run = fake_run(tmp_path / "run", users=120, reach=False)
    assert (EvalTable.read(run / "eval" / "test.parquet").column("reach") == -1).all()
    text = squeezed(read(write_report([run], CONFIG_FEW, tmp_path / "page")).text)
    assert "Within reach" not in text and UNKNOWN_REACH in text
    assert not list((tmp_path / "page").glob("reach*"))
