"""From scores to verdicts.

    rank_split   histories -> rank of every user's target          (ranking, sampling, baselines)
    EvalTable    one row per user in one Parquet file              (table, catalogue)
    summarise    metrics by group with bootstrap intervals         (metrics, lists, groups, bootstrap, summary)
    compare      paired differences of two runs, seed by seed      (pairing, seeds, compare)
    gate         did the tail gain, and did the head pay?          (gate, power)
    report       one static HTML page                              (report, plots*)

Everything after the table is a function of tables alone: no model, no device, no process group.
"""
