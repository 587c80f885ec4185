"""Raw event logs to shards, offline.

    sources ─read─▶ typed events, rejects ─filter─▶ kept events ─users─▶ splits, strata ─sort─▶ by user and time ─write─▶ shards

DuckDB does what needs the whole log (de-duplication, counts, the external sort) within a memory limit; numpy groups the sorted
events by user in a stream; pyarrow writes them. Everything is built in a hidden folder inside the output and moved into place at
the end, the manifest last.
"""
