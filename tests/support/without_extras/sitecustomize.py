"""A Python whose path begins with this folder finds none of the extras' libraries, as if they had never been installed."""

import sys
from importlib.machinery import PathFinder

from ltrec.core.extension.extras import EXTRAS

HIDDEN = {module for modules in EXTRAS.values() for module in modules} - {"pydantic"}  # which typer brings too


class Hiding(PathFinder):
    """Neither modules nor their metadata, which others (torchmetrics) ask for before they import."""

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in HIDDEN else super().find_spec(name, path, target)

    @staticmethod
    def find_distributions(*context):
        found = PathFinder.find_distributions(*context)
        return (d for d in found if (d.metadata["Name"] or "").lower() not in HIDDEN)


sys.meta_path[sys.meta_path.index(PathFinder)] = Hiding
