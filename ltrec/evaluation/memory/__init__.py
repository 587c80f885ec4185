"""A memory beside the network: scores with it, and the choice of its weight."""
