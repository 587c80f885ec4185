"""Costs of a training step on paper: parameters, memory, messages, launched operations and seconds, from shapes and constants.

workload    what a step has to do: shapes, counts and modes of a run
launches    operations per step: one table of counted numbers
memory      bytes that a device holds
traffic     bytes that a process sends
work        arithmetic, and bytes through memory
devices     constants of devices
distinct    how many rows of a table a step touches
estimate    all of it for a number of processes: seconds, the bottleneck, what does not fit
advice      what to configure

Nothing here needs torch. Each number that the rest of the program determines (which rows take part, modes, shapes) arrives in a
`Workload`, which `ltrec.run.build.workload` makes of a config.
"""
