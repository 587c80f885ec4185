"""An index on the screen: recall by stratum, size and speed."""

from __future__ import annotations

from rich import box
from rich.table import Table

from ltrec.api.index import Indexed
from ltrec.core.counting import counted
from ltrec.terminal.screen import Screen


def print_index(found: Indexed, screen: Screen) -> None:
    """Print recall by group of users and of items, then size and speed."""
    made, measured = found.made, found.made.measured
    table = Table(title=f"recall@{found.k} against the full ranking", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("group", "items", "recall"):
        table.add_column(name, justify="left" if name == "group" else "right")
    for recall in found.recall.values():
        low = found.least is not None and recall.share < found.least
        table.add_row(recall.label, f"{recall.items:,}", f"{recall.share:.4f}", style="yellow" if low else "")
    screen.show(table)
    users = f"{counted(made.users, 'user')} of the {made.split} split, seed {found.seed}"
    ms, exact_ms = (1e3 * seconds / max(1, made.users) for seconds in (measured.seconds, measured.exact_seconds))
    screen.say(f"{users}: {ms:.3g} ms a user against {exact_ms:.3g}, {measured.speed_up:.1f} times as fast", "dim")
    if measured.exact_users:
        screen.say(
            f"{counted(measured.exact_users, 'user')} of them ranked by all items: the index left fewer than {found.k}", "dim"
        )
    if found.reached is False:
        screen.note(
            f"a stratum stays below recall {found.least:g} even with {made.options.expansion_search} items in view: raise "
            "--connectivity or --expansion-build, or use --dtype f32"
        )
    options = made.options
    built = f"{counted(made.items, 'item')}, {options.dtype}, {made.bytes / 2**20:,.1f} MiB, built in {made.build_seconds:.1f} s"
    screen.say(f"{built}; {options.expansion_search} items in view")
    screen.say(f"index of {found.checkpoint.name}: {found.path}")
