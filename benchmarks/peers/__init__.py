"""ltrec beside RePlay, RecBole and RecTools: the same SASRec on the same sequences, one thread each. `make bench-peers LOGS=DIR`

tables        what is compared: logs, lengths, libraries, targets to reach, and what is not equal
environment   a library's own environment, made of its pinned requirements
export        prepared sequences as one Parquet table
inside/       a script for each library, which runs in its environment and prints a line of figures
sitting       cells one after the other, libraries in turn; what is there is not done again
summary       medians and ratios of the committed lines
page, figure  benchmarks/results/peers.md and .png
"""
