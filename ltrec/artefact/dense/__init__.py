"""Models as programs over padded histories: the same modules and weights as in training, computed on rectangles.

Training packs rows end to end and reads their lengths, which no exported program can. Here histories are [B, L], oldest first, with
zeros behind; rows begin at the left, so that a causal model never looks at padding.

window.py     the last positions of histories of any length
vectors.py    vectors of items and events
buckets.py    time, in exact buckets
adapters.py   plugins, chosen row by row
sasrec.py     the last states of a SASRec
gru4rec.py    those of a GRU4Rec
din.py        the scores of a DIN
scorers.py    scores of all items, by backbone and plugins
memory.py     what a memory of neighbours adds to scores
program.py    all of it: histories -> the k best items
"""
