"""Deleting users from a prepared data set, in place: `ltrec prepare --forget-users FILE --out DIR`.

users.py      the file of raw ids
find.py       which row groups and files hold any of them
removed.py    what the removed rows counted for
shards.py     shards without them
tables.py     vocabularies, reach and rejects without them
pipeline.py   the steps, and the manifest

The rule. Their rows leave the shards, the file of distances, and the kept rejects (whole, if a row mentions one of them: it is
unknown of whom else it speaks). What counts rows that are there (users, events, targets, strata, training counts of items and of
values of columns) counts the rest. Item ids and ids of values never move, an item that only they had stays with a count of 0, and
thresholds of strata, the head, cuts of time, constants of columns and what was measured over the whole log (ties, quantiles of
lengths, time span, distances of others) stay as they are. The digest changes; the old one is the last of the lineage. There is
no vocabulary of users: raw ids are in shards alone, so no hole remains.
"""
