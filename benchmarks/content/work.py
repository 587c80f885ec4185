"""A process of the benchmark: `python -m benchmarks.content.work JOB.json`; jobs are those of `benchmarks.longtail.work`."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from benchmarks.harness.child import serve
from benchmarks.longtail.variants import OF_ONE, Trunk, Variant
from benchmarks.longtail.work import work
from ltrec.data.neighbours.config import ContentConfig
from ltrec.evaluation.memory.config import MemoryConfig
from ltrec.run.folder.config_file import folder_of
from ltrec.run.scoring.memory import choose_weights, similar_of
from ltrec.run.scoring.scorer import make_memory

CONTENT = MemoryConfig(form="mix", content=ContentConfig(columns=("all",)))


def beside_content(trunk: Trunk) -> Variant:
    """The averaged network with a memory of transitions and of similar items; their share and the weight are chosen on
    validation."""
    similar = similar_of(folder_of(trunk.config), CONTENT, trunk.data)
    memory = make_memory(CONTENT, trunk.neighbours, similar, filter_seen=trunk.config.evaluation.filter_seen)
    choice = choose_weights(trunk.config, CONTENT, trunk.data, memory, trunk.ema)
    values = [round(value, 5) for value in choice.all.ndcg]
    facts = {"share": choice.share, "weights": list(choice.weights), "grid": list(choice.grid), "ndcg@10": values}
    return Variant(replace(memory, share=choice.share).beside(trunk.ema, choice.weights), facts)


VARIANTS = {"ema": OF_ONE["ema"], "mix": OF_ONE["mix"], "mix-content": beside_content}
"""Scorers of a single run."""


if __name__ == "__main__":
    serve(partial(work, of_one=VARIANTS))
