"""Neighbours: which items belong together, counted from the training events of a prepared data set.

config.py          what is counted, and how it is weighted
table.py           the result: a few neighbours per item, with a digest
file.py            the result on disk
events.py          the stored training events, in portions
ties.py            expected weights of pairs of events whose order is unknown
transitions.py     events -> pairs of items that follow each other
co_occurrence.py   events -> pairs of items of the same user
content.py         item columns -> pairs of items that are alike
sums.py            pairs -> their sums, exact in any order, in bounded memory
strongest.py       pairs -> the strongest few of every item
count.py           shards -> neighbours
similar.py         table of items -> neighbours
"""
