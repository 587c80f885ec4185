"""Backdoor adjustment: priors, weights and estimators of P(G|do(D)).

prior.py              P(z), the population that training should be about
backdoor.py           the formula, its derivation, and the default estimator: every stratum's mean over the step (`Hajek`)
empty.py              what that estimator does about a stratum that the step lacks
horvitz_thompson.py   the other estimator: sums over expected counts, unbiased, nothing to do about absence
positivity.py         refuses a prior on strata that are never drawn
presence.py           how often a step holds a stratum at all
config.py             its options
"""
