"""Rules that turn strata into weights: one visible table."""
