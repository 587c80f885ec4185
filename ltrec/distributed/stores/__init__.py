"""Where the gradients of K strata live between their backward passes and the one update.

protocol.py   the interface of a store
flat.py       replicated parameters: rows of a flat vector, each process holds 1/W of every row
sharded.py    parameters sharded by FSDP2: rows of each process's partitions
layout.py     where every parameter lies in a flat vector
"""
