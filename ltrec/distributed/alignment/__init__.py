"""Gradient alignment: inner steps over tasks, whose mean way is the update.

config.py            its options
tasks.py             which rows a task holds, and which trajectory visits it
pseudo_gradient.py   follows trajectories and adds up their gradients
first_steps.py       the gradients of their first tasks, all at once
"""
