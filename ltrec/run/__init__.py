"""Use cases: train, evaluate, score. The composition root, where names in a config become objects."""
