"""Output of a run while it trains."""
