"""Ranking targets among a few sampled items: the sampling, and the pooled AUC used in some papers."""
