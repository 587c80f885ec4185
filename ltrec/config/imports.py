"""`imports`: modules that register variants, imported before variants are chosen. Every file may name some; they add up.

    imports: [my_package.models]

Elsewhere the last value wins. A model file that needs its module and a method file that needs another are used together, though,
and nothing is gained by not importing one.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from ltrec.config.convert import convert
from ltrec.config.source import Setting
from ltrec.core.extension.extensions import import_installed, import_module
from ltrec.terminal.screen import note

KEY = "imports"


def with_imports(owner: type, settings: Sequence[Setting]) -> list[Setting]:
    """Import all that installed packages and the settings name; the settings, with one of `imports` that names every module.

    Args:
        owner: dataclass with the field `imports`.
        settings: in the order in which they win.

    Raises:
        UserError: a module is not found or fails, or the value is not a list of names.
    """
    for line in import_installed():
        if _first_process():
            note(line)
    naming = [setting for setting in settings if setting.key == KEY]
    modules: dict[str, None] = {}
    for setting in naming:
        for module in convert(owner, KEY, setting):
            import_module(module, f"{KEY!r} {setting.where}")
            modules[module] = None
    others = [setting for setting in settings if setting.key != KEY]
    return [*others, Setting(KEY, list(modules), list(modules), naming[-1].where)] if naming else others


def _first_process() -> bool:
    """Whether this process is the one that prints. Read from the environment, before the rendezvous."""
    return os.environ.get("RANK", os.environ.get("SLURM_PROCID", "0")) == "0"
