"""Options of an export."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ltrec.artefact.formats import FORMATS
from ltrec.artefact.hub import TABLES, UNKNOWN_LICENSE, check_license
from ltrec.artefact.items.precision import PRECISIONS
from ltrec.core.errors import UserError, nearest
from ltrec.core.extension.extras import require


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """Options of an export.

    Attributes:
        out: the folder.
        form: of the program, a key of `FORMATS`.
        k: items of a list; fewer where the catalogue is smaller.
        overwrite: whether another artefact there may be replaced.
        table: precision of the item vectors.
        max_loss: most that a group of users may lose of its NDCG@10 by it, as a share; None = any loss is only told.
        items: a table of items that the data set does not know, to be appended.
        hub: whether the folder has the layout of Hugging Face's hub.
        license: of the model, for its card, by the hub's identifier.
    """

    out: Path
    form: str
    k: int
    overwrite: bool = False
    table: str = "fp32"
    max_loss: float | None = None
    items: Path | None = None
    hub: bool = False
    license: str | None = None

    @property
    def tables_file(self) -> str:
        """Name of the file of tables."""
        return TABLES if self.hub else "tables.safetensors"

    @property
    def card_license(self) -> str | None:
        """The license that the card states, which the hub wants; None = nothing."""
        return self.license or (UNKNOWN_LICENSE if self.hub else None)

    def check(self) -> None:
        """Refuse what cannot be wanted.

        Raises:
            UserError: an option out of range, or a package is not installed.
        """
        if not self.k >= 1:
            raise UserError(f"k is {self.k}; it must be at least 1")
        if self.table not in PRECISIONS:
            known = f"{nearest(self.table, PRECISIONS)}; choose from {', '.join(PRECISIONS)}"
            raise UserError(f"--table {self.table} is unknown{known}")
        if self.max_loss is not None and not 0 <= self.max_loss <= 1:
            raise UserError(f"--max-loss is {self.max_loss:g}; it is a share of NDCG@10, from 0 to 1")
        if self.license is not None:
            check_license(self.license)
        if extra := FORMATS[self.form].extra:
            require(extra, f"--format {self.form}")
