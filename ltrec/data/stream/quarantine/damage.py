"""The error about a damaged row group: the only damage that a run may survive."""

from __future__ import annotations

from typing import Literal

from ltrec.core.errors import UserError

Rule = Literal["bytes", "rows", "values", "columns"]
"""The check that failed: page checksums and decoding; the number of rows; ids, lengths and strata; values of columns."""


class DamagedRowGroup(UserError):
    """A row group whose bytes are not those that were written.

    Args:
        shard: number of the shard in the manifest.
        group: number of the row group in it.
        rule: the check that failed.
        message: one line that names the file, the row group and the way out.
    """

    def __init__(self, shard: int, group: int, rule: Rule, message: str) -> None:
        super().__init__(message)
        self.shard, self.group, self.rule = shard, group, rule
