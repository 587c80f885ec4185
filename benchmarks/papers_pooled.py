"""AUC over one pool of all users' scores, as papers on click models report it. A run's table has ranks; scores are made anew."""

from __future__ import annotations

from pathlib import Path

from harness.ledger import Line

from ltrec.core.storage.run_folder import RunFolder
from ltrec.evaluation.groups.users import groups
from ltrec.evaluation.sampled.pooled_auc import score_pools
from ltrec.evaluation.table import EvalTable
from ltrec.run.build.components import build_histories, open_data
from ltrec.run.checkpoint.find_checkpoint import find_checkpoint
from ltrec.run.folder.reopen import reopen
from ltrec.run.process.detect import detect
from ltrec.run.scoring.protocol import negatives_of
from ltrec.run.scoring.scorer import load_network


def pooled_line(line: Line, out: Path) -> Line:
    """A line with the AUC of every group of users, for a final line.

    Args:
        line: of a run whose test split was ranked among sampled candidates.
        out: folder of the paper's data and runs.

    Raises:
        UserError: the run, its checkpoint or its table is missing or damaged.
    """
    run = RunFolder(out / "runs" / line["run"])
    config = reopen(run)
    data, negatives = open_data(config), negatives_of(config)
    assert negatives is not None, "AUC of a pool is one of sampled candidates"
    histories = build_histories(config, data, "test")
    chunks = (histories.chunk(index) for index in range(len(histories)))
    score = load_network(config, data, find_checkpoint(run, "best"), detect())
    pools = score_pools(score, chunks, negatives, filter_seen=config.evaluation.filter_seen)
    warm = slice(len(pools.target_N))  # a table's users without history come last
    found = {group.key: pools.auc(group.mask_N[warm]) for group in groups(EvalTable.read(run.eval_table("test")))}
    kept = ("data", "method", "setting", "seed", "run", "key")
    return {"phase": "pooled", **{name: line[name] for name in kept}, "groups": {k: round(v, 5) for k, v in found.items()}}
