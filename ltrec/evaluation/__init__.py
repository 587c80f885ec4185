"""From scores to verdicts.

    rank_split    histories -> rank of every user's target              (ranking, sampled/, baselines, memory/)
    EvalTable     one row per user in one Parquet file                  (table, catalogue, training_facts)
    summarise     metrics by group of users, with bootstrap intervals   (metrics, groups/, estimates, lists, summary)
    compare       paired differences between two methods, seed by seed       (comparison/pairing, compare; statistics/seeds)
    gate          did the tail gain, and did the head pay?              (comparison/gate, verdict, gate_text; statistics/power)
    judge_runs    both, computed once and kept in the run folder        (comparison/judgement)
    judge_ranks   the same gate for ranks from any library              (comparison/judge_ranks)
    results_of    everything that a report shows                        (results, curves)

Everything after the table is a function of tables only: no model, no device, no process group.
"""
