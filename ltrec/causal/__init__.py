"""Backdoor adjustment: priors, weights and estimators of P(G|do(D))."""
