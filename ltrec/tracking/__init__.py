"""What a run leaves behind: metrics.jsonl, Weights & Biases, provenance."""
