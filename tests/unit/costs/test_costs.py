"""Arithmetic of a step on paper, against sums by hand; constants that have their home elsewhere."""

import math
import subprocess
import sys
from dataclasses import replace

import pytest

from ltrec.costs.advice import advise
from ltrec.costs.devices import DEVICES, overridden
from ltrec.costs.distinct import expected_distinct, most_distinct
from ltrec.costs.estimate import estimate
from ltrec.costs.launches import COLUMNS, NETWORKS, OBJECTIVES, STEPS, launches
from ltrec.costs.memory import BUCKET, activations, memory, optimiser, scores
from ltrec.costs.traffic import messages, traffic
from ltrec.costs.work import work_of
from ltrec.costs.workload import ENGINES, Workload
from ltrec.distributed import gram
from ltrec.distributed.config import PARALLELISM
from ltrec.distributed.strategies import MODES
from ltrec.models.backbones import BACKBONES
from ltrec.objectives import OBJECTIVES as LOSSES
from ltrec.strategy.deepspeed import strategy as zero

SMALL = Workload(
    items=999, width=4, table=4000, dense=96, matrices=80, tensors=10, rows=8, positions=64, longest=10, candidates=5, strata=3
)
BY_STRATUM = replace(SMALL, mode="per_stratum", engine="ddp")
DEVICE = DEVICES["h100"]


def test_constants_are_those_of_their_owners():
    assert COLUMNS == gram._COLUMNS and BUCKET == zero._LARGEST_BUCKET
    assert set(ENGINES) - {"one"} == set(PARALLELISM) - {"auto"}
    assert set(STEPS) == {"joint", *MODES}
    assert set(NETWORKS) == set(BACKBONES) and set(OBJECTIVES) == set(LOSSES)


def test_paper_needs_no_torch():
    code = "import sys, ltrec.costs.advice; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


@pytest.mark.parametrize(("items", "exponent"), [(1, 0.8), (50, 0.0), (3000, 0.8), (3000, 1.2)])
def test_expected_distinct_rows_are_those_of_the_plain_sum(items, exponent):
    weights = [rank**-exponent for rank in range(1, items + 1)]
    total = sum(weights)
    for draws in (1, 40, 10_000):
        plain = sum(1 - (1 - weight / total) ** draws for weight in weights)
        assert expected_distinct(draws, items, exponent) == pytest.approx(plain, rel=2e-3)
        assert plain <= most_distinct(draws, items) * (1 + 1e-9)


def test_a_hundred_million_items_are_not_summed_one_by_one():
    assert 0.5e6 < expected_distinct(1e6, 10**8) < 1e6


def test_bytes_are_those_of_a_ring():
    n = 4096
    assert traffic(SMALL, 1) == {}
    assert traffic(replace(SMALL, engine="ddp"), 4)["gradient"] == 2 * 3 / 4 * 4 * n
    by_stratum = traffic(BY_STRATUM, 4)
    assert by_stratum["gradients by stratum"] == 3 * 3 / 4 * 4 * n and by_stratum["gradient"] == 3 / 4 * 4 * n
    assert traffic(replace(BY_STRATUM, accumulate=2), 4)["gradients by stratum"] == 2 * by_stratum["gradients by stratum"]
    sharded = traffic(replace(BY_STRATUM, engine="fsdp2"), 4)
    assert "gradient" not in sharded and sharded["weights"] == 3 / 4 * 4 * n
    replayed = traffic(replace(BY_STRATUM, mode="replay", gram_share=1.0, gram_rule=True), 4)
    assert replayed["gradient"] == 2 * 3 / 4 * 4 * n and replayed["gradients by stratum"] == by_stratum["gradients by stratum"]
    stages = [traffic(replace(BY_STRATUM, mode="weighted", engine=f"deepspeed_stage_{stage}"), 4) for stage in (1, 2, 3)]
    assert [(it["gradient"] + it["weights"]) / (3 / 4 * 4 * n) for it in stages] == [2, 2, 3]


def test_touched_rows_are_sent_in_place_of_the_table():
    touched = replace(BY_STRATUM, touched=100.0)
    assert touched.gradient == 100 * 4 + 96
    assert traffic(touched, 2)["gradient"] == 1 / 2 * 4 * 496
    assert traffic(touched, 2)["touched ids"] == 1 / 2 * (2 * 8 * 2 + 8 * 2 * 64)
    assert messages(touched) > messages(BY_STRATUM)


def test_states_are_divided_where_they_are_sharded_and_nowhere_else():
    assert optimiser(SMALL, 8) == 4 * (2 * 4096 + 10)
    assert optimiser(replace(SMALL, states=0, counts_steps=False), 8) == 0
    assert optimiser(replace(SMALL, engine="fsdp2"), 8) == 4 * (2 * 512 + 10)
    assert optimiser(replace(SMALL, engine="deepspeed_stage_1"), 8) == 4 * (3 * 512 + 10)


def test_one_stratum_at_a_time_keeps_its_own_activations_alone():
    alone = replace(BY_STRATUM, largest_stratum=0.5)
    assert activations(alone, 2) == activations(SMALL, 2) / 2 and scores(alone, 2) == scores(SMALL, 2) / 2
    assert activations(replace(SMALL, accumulate=2), 1) == activations(SMALL, 1) / 2
    assert scores(replace(SMALL, objective="softmax", candidates=999, keep_bytes=1000), 1) == 1000


def test_memory_names_its_parts_and_leaves_out_what_is_not_there():
    assert "average" not in memory(SMALL, 1) and memory(replace(SMALL, average=True), 1)["average"] == 4 * 4096
    assert "gradients by stratum" not in memory(SMALL, 1)
    assert memory(replace(BY_STRATUM, engine="one"), 1)["gradients by stratum"] == 3 * 4 * 4096
    assert "gradient" not in memory(replace(BY_STRATUM, engine="one"), 1)  # the first row becomes it


def test_arithmetic_grows_with_positions_and_candidates_and_a_gram_matrix_with_the_strata_squared():
    assert work_of(replace(SMALL, positions=128), 1).flops == pytest.approx(2 * work_of(SMALL, 1).flops)
    more = work_of(replace(SMALL, candidates=6), 1).flops - work_of(SMALL, 1).flops
    assert more == 6 * 64 * 4
    with_gram = work_of(replace(BY_STRATUM, gram_share=1.0), 1).flops - work_of(BY_STRATUM, 1).flops
    assert with_gram == 2 * 9 * 4096
    assert work_of(replace(SMALL, touched=10.0), 1).moved < work_of(SMALL, 1).moved / 2


def test_operations_grow_with_strata_micro_batches_and_depth():
    def counted(**changes):
        return launches(replace(SMALL, **changes), 1, accelerator=False)

    assert counted(mode="per_stratum", strata=6) > 1.8 * counted(mode="per_stratum")
    assert counted(accumulate=3) > 2.5 * counted()
    assert counted(layers=4) > 1.5 * counted()
    assert counted() < counted(mode="weighted") < counted(mode="per_stratum") < counted(mode="replay", gram_share=1.0)
    assert counted(backbone="gru4rec") > 3 * launches(replace(SMALL, backbone="gru4rec"), 1, accelerator=True)
    assert counted(backbone="mine", objective="mine") > 0
    probed = counted(mode="weighted", gram_share=0.5) - counted(mode="weighted")
    assert probed == pytest.approx(0.5 * (counted(mode="weighted", gram_share=1.0) - counted(mode="weighted")))


def test_seconds_are_the_slower_of_host_and_device_and_messages():
    found = estimate(replace(SMALL, engine="ddp"), DEVICE, nodes=2, per_node=2)
    assert found.world == 4 and found.bottleneck == "launches"
    assert found.step == found.seconds["launches"] + found.seconds["messages"]
    on_cpu = estimate(SMALL, DEVICES["cpu-core"])
    assert on_cpu.step == pytest.approx(math.fsum(on_cpu.seconds.values())) and on_cpu.seconds["messages"] == 0
    assert on_cpu.held == math.fsum(on_cpu.memory.values()) and on_cpu.sent == 0


def test_the_network_is_slower_than_the_link():
    large = replace(SMALL, table=10**8, engine="ddp")
    inside, between = (estimate(large, DEVICE, nodes=n, per_node=8 // n).seconds["messages"] for n in (1, 2))
    assert between > 5 * inside


def test_rates_of_ones_own_take_the_place_of_the_device_s():
    mine = overridden(DEVICE, {"flops": 1e12, "bandwidth": 1e11, "link": 1e9})
    assert (mine.flops, mine.half_flops, mine.reach, mine.bandwidth, mine.elementwise) == (1e12, 1e12, 1.0, 1e11, 1e11)
    assert (mine.link, mine.network) == (1e9, 1e9)
    assert overridden(DEVICE, {"flops": 0.0, "bandwidth": 0.0, "link": 0.0}) == DEVICE


def advised(work, world=8):
    found = estimate(work, DEVICE, per_node=world)
    return found, [it.setting for it in advise(work, DEVICE, found, nodes=1, per_node=world)]


def test_a_launch_bound_linear_rule_is_told_of_the_one_pass():
    assert advised(BY_STRATUM)[1][0].startswith("gradients.mode=weighted")
    assert not any("weighted" in setting for setting in advised(replace(BY_STRATUM, gram_rule=True, gram_share=1.0))[1])


def test_what_does_not_fit_is_told_what_is_smaller():
    huge = replace(SMALL, items=3 * 10**7, width=1024, table=30720001024, mode="weighted", engine="ddp")
    found, ways = advised(huge)
    assert not found.fits(DEVICE) and any("stage_3" in way for way in ways)
    wide = replace(SMALL, candidates=10**6, positions=10**5)
    assert not estimate(wide, DEVICE).fits(DEVICE)
    assert any("scope=shared" in way or "accumulate" in way for way in advised(wide, world=1)[1])


def test_a_large_table_is_told_of_the_optimiser_that_leaves_rows_alone():
    large = replace(SMALL, items=10**7, width=64, table=640000064, touched=1000.0)
    assert any("lazy_adamw" in way for way in advised(large, world=1)[1])


def test_full_softmax_over_many_items_is_told_of_samples():
    large = replace(SMALL, items=10**7, width=64, table=640000064, objective="softmax", candidates=10**7, positions=4000)
    assert any("sampled_softmax" in way for way in advised(large, world=1)[1])


def test_gradients_of_all_strata_from_one_pass_start_few_operations_and_hold_k_whole_gradients():
    segments = replace(BY_STRATUM, source="segments")
    one, many = (launches(replace(segments, strata=k), 1, accelerator=True) for k in (5, 10))
    assert 1.0 < many / one < 1.3 and launches(replace(BY_STRATUM, strata=10), 1, accelerator=True) > 3 * many
    assert memory(segments, 2)["gradients by stratum"] == 3 * 4 * 2048 + 3 * 4 * 4096
    assert activations(replace(segments, largest_stratum=0.5), 2) == activations(SMALL, 2)


def test_one_forward_pass_and_k_backward_passes_are_more_than_one_and_less_than_k():
    split, retained = (work_of(replace(BY_STRATUM, source=source), 1).flops for source in ("split", "retained"))
    assert retained == pytest.approx(split * 7 / 3)
    assert launches(replace(BY_STRATUM, source="retained"), 1, accelerator=False) < launches(BY_STRATUM, 1, accelerator=False)
