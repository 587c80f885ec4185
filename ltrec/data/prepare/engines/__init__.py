"""Engines: what holds the log and its users while a data set is prepared, and what sorts them.

protocol   what the steps of prepare ask of an engine; staged: of the rows that were read
rows       expressions on single rows
duck       DuckDB in this process, within a memory limit (the default)
opening    chooses one

A step says what it needs as a query over named tables, in SQL that every engine understands, and never sees a connection to one.
Items, the values of categorical columns, and the item and user tables are in the *catalogue*, a DuckDB database of the process that
runs prepare, whatever the engine is. Expressions on single rows (dates, hashes) are DuckDB's in every engine, so that all give the
same values.
"""
