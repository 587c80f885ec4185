"""The Python API, one verb a file: `ltrec.prepare` is `ltrec.api.prepare.prepare`, loaded on first use.

Functions take paths, Arrow tables or anything with the Arrow PyCapsule interface (pandas, polars, DuckDB) and return frozen
dataclasses; the command line is a thin layer over them. What `to_dict()` gives is what `--json` prints, with keys that stay what
they are; numbers that are not finite (no users, no base) are None:

    prepare, verify, inspect
                      data, name, digest, up_to_date, rows, rejected, duplicates, filtered, events, train_events, users, items,
                      head_from, columns: [{name, kind, of}], strata: [{name, users, trainable, events, reach}]
                      reach: {repeat, one_link, two_links, beyond}: validation targets by distance from the history, or null;
                      with --forget-users also forgotten: {users, events, unknown, before: the digest}
    inspect           also engine, period: {first, last} in seconds since 1970 (null without times), lengths: {min, p25, ..., max},
                      lineage: [{digest, items, files, events, users, new_users, new_items, crossed, late, known}], if appended to
                      (with columns also columns: {name: ids}, known_rows: {table: rows}),
                      ties: {events, share, pairs, ascending, rule}, popularity: {items, untrained, largest, median, gini,
                      top: {0.01, 0.1, 0.2, 0.5: share of the training events}},
                      shards: [{stratum, shards, users, events, bytes, largest}], stratum -1: without training events
    plan              processes, device, parameters: {table, dense, plugins}, touched_rows, mode, source, engine,
                      memory: {PART, all}, fits, traffic: {MESSAGE, all}, launches, flops,
                      seconds: {arithmetic, memory, launches, messages, step}, bottleneck,
                      advice: [{setting, step, held, fits}], remarks, refused
    train             run, step, epoch, monitor, best, checkpoint, memory (as evaluate has it)
    evaluate          split, results, runs: [{run, model, memory, groups, targets, baselines: {NAME: groups}}], comparison, gate
                      memory: null, or {form, neighbours, choice: {grid, all: {users, ndcg, weight}, strata: [{...}, ...]}}
                      groups: {all, tail, head, stratum=0, ...: {users, METRIC: {mean, low, high}}}
                      targets: {item=new, item=tail, item=head, event_type=purchase, ...: the same}: users by their target;
                      baselines have groups and targets in one
    predict           predictions, rows, k, checkpoint; of given histories also counts: {users, empty, events, unknown_items,
                      truncated, unknown_candidates, recommendations, exact}
    export            artefact, format, checkpoint, parity: {histories, largest, unequal}, loss: {precision, k, groups}, appended
    index             index, checkpoint, items, options, instructions, bytes, build_seconds, k, split, users, seed,
                      recall: {all, tail, head, stratum=0, ..., item=tail, ...: {items, recall}}, wanted, reached (null if none was
                      wanted), ms_per_user, exact_ms_per_user, speed_up, exact_users
    report            report; quarantine: {RUN: [{shard, group, stratum, users, rule, since, replaced}]} if there was damage
    fetch             events, notice, and items, users if the source has them
    gate              verdict, text, metric, margin, head_from, seeds, seeds_missing, tail, head:
                      {users, base, change, low, high, p, verdict, users_to_decide, seeds_to_decide}

In a notebook as in a command: what fails for a reason that the caller can mend raises `ltrec.UserError` with one line. Nothing is
printed unless `progress=True`, and the process is left as it was found (`session`).
"""
