"""Use cases, and the composition root where names in a config become objects.

train.py, evaluate.py, smoke.py    the use cases
preflight.py, callbacks.py         what training checks and opens first, and the callbacks it is given
build/                             config -> data, model, loss, strategy, loggers
folder/, checkpoint/               operations on a run folder (its names: ltrec.core.storage.run_folder) and on its checkpoints
scoring/                           checkpoint -> scores: network, memory, baselines, rankings
process/                           this process among the ranks of a run: cores, streams, signals, rendezvous, failures
progress/                          output of a run while it trains
node_copy/                         a copy of the data on the disk of a node
"""
