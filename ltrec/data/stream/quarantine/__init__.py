"""Damage in the middle of a run: rows of healthy row groups take the places of those in damaged ones, and a ledger says so.

damage.py       the error that names a row group and the check it failed
whole_shard.py  a shard with a wrong hash: which of its row groups are to blame
pages.py        whether the pages of a file have their checksums
replacement.py  which row takes a lost one's place: a pure function
ledger.py       what was replaced, where, since when
quarantine.py   what a process knows to be damaged, and the budget

Only rows change: steps, the number of rows of each stratum, the order's lengths and every row of a healthy row group are as before.
"""
