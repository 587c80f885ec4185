"""Targets among a few sampled items instead of all: the draws, and the pooled AUC of papers that score such pools."""
