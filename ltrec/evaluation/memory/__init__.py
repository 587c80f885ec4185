"""A memory added to a network: scores with it, and the choice of its weight."""
