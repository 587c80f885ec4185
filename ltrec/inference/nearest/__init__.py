"""Approximate nearest neighbours: the items with the largest inner products, without computing them all.

options.py     of building and searching
graph.py       the graph of item vectors; the only module that knows usearch
folder.py      a graph on disk, with a manifest that says whose vectors it holds
ranking.py     candidates from the graph, scored exactly and filtered
measure.py     recall against the full ranking, by stratum of users and by popularity of items, and speed
"""
