"""Scoring with a run: network, plugins, weights of a checkpoint, memory; and the baselines."""
