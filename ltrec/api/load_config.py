"""`ltrec.load_config`: the settings of a run. It needs neither torch nor Lightning, nor does `ltrec train --print-config`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ltrec.api.session import session
from ltrec.api.settings import Setting, files_and_overrides
from ltrec.config.load import load
from ltrec.config.tree import RunConfig
from ltrec.core.errors import UserError
from ltrec.core.extension.deferred import Deferred
from ltrec.run.folder.in_place import in_place
from ltrec.run.process.rendezvous_env import is_one_of_several

if TYPE_CHECKING:
    from ltrec.run.process.rendezvous import notify_other_ranks
else:
    notify_other_ranks = Deferred("ltrec.run.process.rendezvous:notify_other_ranks")


def load_config(*settings: Setting, data: str | os.PathLike[str] | Mapping[str, Any] | None = None, **overrides: Any) -> RunConfig:
    """All settings of a run that `train` would make of the same arguments.

    Raises:
        UserError: a missing file, an unknown key (with the nearest one), a wrong type, a refused value.
    """
    with session(progress=False) as call:
        return settled(*settings, data=data, where=call.where, **overrides)


def settled(*settings: Setting, data: Any, where: str, **overrides: Any) -> RunConfig:
    """The settings as one config; `where` is their origin in messages. Other processes of the run are told about an error."""
    try:
        if data is not None:
            overrides["data"] = data if isinstance(data, Mapping) else {"path": os.fspath(data)}
        files, changes = files_and_overrides(settings, overrides)
        return in_place(load(files, changes, where=where), files, changes)
    except UserError as error:
        if is_one_of_several(os.environ):
            notify_other_ranks(error)
        raise
