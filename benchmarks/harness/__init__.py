"""What the benchmarks that train many runs share: which runs there are, a process for each, and what was found in it.

ledger      a run's identity and its lines of results: nothing is done twice
children    runs as processes side by side, each of one thread; killed and begun again they go on
child       the other end: the process itself
measures    figures of a run folder
"""
