"""The version, in a module of its own: whoever needs it need not import the package's front door."""

__version__ = "0.1.0"
