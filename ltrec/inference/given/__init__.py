"""Given histories, of known or unknown users, in raw ids and raw columns: any number of them in bounded memory.

form.py       which of two shapes a file has, and which of its columns is what
files.py      Parquet files, read from front to back
plan.py       which rows are which chunk of users, and which chunks are which shard of the answer
grouping.py   where users begin among events, and that none of them comes back
ids.py        raw item ids -> ids of the vocabulary
moments.py    raw times -> an order and seconds
columns.py    raw columns -> what the model was trained on
rows.py       a table of either shape -> arrays
histories.py  arrays -> what a scorer is given
"""
