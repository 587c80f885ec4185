"""ltrec: train sequential recommenders that serve tail users well and keep the head.

Importing the package gives the version and nothing else: neither torch nor Lightning is loaded until a command needs it.
"""

from ltrec.version import __version__

__all__ = ["__version__"]
