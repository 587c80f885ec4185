"""Spark as the engine: for logs that outgrow one machine.

session    the session: a local one, that of spark-submit, or a remote one (Spark Connect); failures in one line
tables     named tables: Parquet files in the work folder, which all executors must see, behind views
partition  code that runs in the executors on Arrow batches: DuckDB's expressions on rows
reading    the readers of prepare, one task per text file or range of row groups
staged     the rows that were read, while the form of their times is chosen
engine     what the steps of prepare ask for
shards     sorting by shard, and the passes over the sorted shards: each is a task

No event and no user is collected by the process that runs prepare. It holds what is bounded by the number of items: their ids, the
values of categorical columns, and the item and user tables, which it reads within `memory_limit`. Of every shard it holds a name.
"""
