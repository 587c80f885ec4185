"""Records of a run: metrics.jsonl, Weights & Biases, provenance."""
