"""The manual's source for the site builder: the pages of docs/ as they are, and three that are made from the code.

    python -m docs.reference build/docs

configuration.md   from the config's dataclasses: type, default, bounds, and the docstring under each field
commands.md        from the commands' own options
api.md             from the public names of the package

Nothing of it is kept: a page that is made anew whenever it is read cannot rot.
"""
