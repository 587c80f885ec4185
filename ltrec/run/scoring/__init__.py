"""How a run scores: network, plugins, checkpoint weights, memory; and the baselines."""
