"""A run's index of item vectors.

encoder.py    states of users and item vectors, whose inner products are the run's scores
sample.py     users to measure an index on, with their strata and those of items
make.py       builds, measures and writes an index (`ltrec index`)
use.py        opens one to recommend with (`ltrec predict --index`)
"""
