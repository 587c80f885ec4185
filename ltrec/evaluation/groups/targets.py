"""Groups of users by their target: how well new, rare and popular items are served.

item=new      targets without any training event: only columns can find them
item=tail     targets with training events, but beyond the last cut of the popularity classes (`item_shares`)
item=head     the others: with the usual cuts, the items that hold the first 80 % of the training events

event_type=purchase, ...   targets of each type, if the data declare several (`prepare.targets`)

Targets that are not candidates (`evaluation.candidates=seen`) and users without history are in none of these groups.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ltrec.evaluation.catalogue import Ints, ItemCatalogue
from ltrec.evaluation.groups.users import Group, warm_users
from ltrec.evaluation.table import SEEN, TARGET_COUNT, EvalTable

NEW, TAIL, HEAD = "item=new", "item=tail", "item=head"
ITEM_STRATA = (NEW, TAIL, HEAD)


def target_groups(table: EvalTable, shares: Sequence[float]) -> list[Group]:
    """The item strata and the types of targets in the order of a report; `new` only if there are such items among the
    candidates.

    Args:
        table: the users.
        shares: cuts of the popularity classes, at these shares of the training events.
    """
    count_N, warm_N = table.column(TARGET_COUNT), warm_users(table)
    strata = item_strata(table.catalogue, shares, count_N)
    found = [replace(group, mask_N=warm_N & group.mask_N) for group in strata]
    types_N = table.target_types()
    names = [] if types_N is None else sorted({*types_N.tolist()} - {""})
    typed = [Group(name, f"targets with {name}", warm_N & (types_N == name)) for name in names]
    without_new = 0 not in table.catalogue.counts or table.protocol.candidates == SEEN
    return (found[1:] if without_new else found) + typed


def item_strata(catalogue: ItemCatalogue, shares: Sequence[float], count_N: Ints) -> list[Group]:
    """New, tail and head items among items with such training counts [N]; the cuts are the catalogue's."""
    cut, new_N = catalogue.tail_below(shares), count_N == 0
    return [
        Group(NEW, "new items", new_N),
        Group(TAIL, f"tail items (<{cut})", ~new_N & (count_N < cut)),
        Group(HEAD, f"head items ({cut}+)", count_N >= cut),
    ]


def class_strata(catalogue: ItemCatalogue, shares: Sequence[float]) -> tuple[str, ...]:
    """Item stratum of each popularity class, rarest first: `new`, `tail` or `head`. No class mixes them."""
    cut, ends = catalogue.tail_below(shares), (*catalogue.class_bounds(shares)[1:], None)
    return tuple("head" if end is None or end > cut else "new" if end == 1 else "tail" for end in ends)
