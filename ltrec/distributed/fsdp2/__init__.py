"""FSDP2: parameters, gradients and optimiser states sharded over all processes.

sharded_module.py   a module under FSDP2, and what an accumulation does to it
full_state.py       whole state dicts from partitions, and back
"""
