"""Raw event logs to shards, offline.

    sources ─read─▶ typed events, rejects ─filter─▶ kept events ─users─▶ splits, strata ─sort─▶ by user and time ─write─▶ shards

DuckDB does what needs the whole log (de-duplication, counts, the external sort) inside a memory limit; numpy streams the sorted
events into rows of users; pyarrow writes them. Everything is built in a hidden folder of the output and moved into place at the
end; the manifest comes last.
"""
