"""Neighbours: which items follow which, counted once from the training events of a prepared data set.

config.py   what is counted, and how it is weighed
table.py    the result: a few neighbours per item, with a digest
ties.py     expected weights of pairs of events whose order is not known
pairs.py    the events of some users -> weighted pairs of items
sums.py     pairs -> their sums, exact in any order
count.py    shards -> neighbours
"""
