"""Quotas: how many rows of each stratum make up a step."""

from __future__ import annotations

from collections.abc import Sequence

from ltrec.core.errors import UserError


def resolve_quotas(quotas: Sequence[float], rows_K: Sequence[int], batch_rows: int) -> tuple[int, ...]:
    """Whole rows per stratum [K] that sum to `batch_rows`.

    Args:
        quotas: integers with the sum `batch_rows`, or shares with the sum 1, one per stratum; empty = equal shares of the strata
            that have users.
        rows_K: trainable users per stratum.
        batch_rows: G.

    Raises:
        UserError: wrong number, negative, wrong sum, or a quota for a stratum without trainable users.
    """
    if not quotas:
        present = [float(rows > 0) for rows in rows_K]
        quotas = [p / sum(present) for p in present]
    if len(quotas) != len(rows_K):
        raise UserError(f"`quotas` has {len(quotas)} numbers, the data has {len(rows_K)} strata; give one number per stratum")
    if min(quotas) < 0:
        raise UserError(f"`quotas` contains {min(quotas)}; quotas cannot be negative")
    whole = _whole_rows(quotas, batch_rows)
    for stratum, (requested, rows) in enumerate(zip(whole, rows_K, strict=True)):
        if requested and not rows:
            raise UserError(
                f"`quotas` requests {requested} rows of stratum {stratum} in every step, but none of its users is trained on; "
                "set it to 0"
            )
        if quotas[stratum] and not requested:
            raise UserError(
                f"`quotas`: the share {quotas[stratum]} of stratum {stratum} is less than one of {batch_rows} rows; "
                "raise it or `batch_rows`"
            )
    return whole


def _whole_rows(quotas: Sequence[float], batch_rows: int) -> tuple[int, ...]:
    total = sum(quotas)
    if total == batch_rows and all(q == int(q) for q in quotas):
        return tuple(int(q) for q in quotas)
    if abs(total - 1.0) > 1e-6:
        raise UserError(f"`quotas` sum to {total:g}; they must sum to `batch_rows`={batch_rows} (rows) or to 1 (shares)")
    exact = [q * batch_rows for q in quotas]
    whole = [int(x + 1e-9) for x in exact]
    by_remainder = sorted(range(len(exact)), key=lambda z: (whole[z] - exact[z], z))
    for z in by_remainder[: batch_rows - sum(whole)]:
        whole[z] += 1
    return tuple(whole)
