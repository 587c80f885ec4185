"""Lightning strategies that form and combine per-stratum gradients."""
