"""Neighbours: related items, from training events or from item columns of a prepared data set.

config.py          what is counted, and how it is weighted
table.py           the result: a few neighbours per item, with a digest
file.py            the result on disk
events.py          the stored training events, in blocks
ties.py            expected weights of pairs of events whose order is unknown
transitions.py     events -> pairs of items that follow each other
co_occurrence.py   events -> pairs of items of the same user
content.py         item columns -> pairs of similar items
sums.py            pairs -> their sums, exact in any order, in bounded memory
strongest.py       pairs -> the largest weights of every item
count.py           shards -> neighbours
similar.py         item table -> neighbours
"""
