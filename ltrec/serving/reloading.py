"""Another artefact in place of the one that serves, without a dropped request.

On SIGHUP the artefact is opened anew (a link may lead elsewhere by now, and another one be at its address), its files are compared
with their digests and the model is warmed, beside the one that goes on serving. Only then does it take over, between two passes. If
anything is wrong, the old one stays, and /health, the metrics and a line on stderr say why.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from ltrec.core.errors import UserError
from ltrec.serving.app import RecommendationApp
from ltrec.serving.served import ServedModel


class Reloader:
    """Reloads on request, one at a time; requests meanwhile are one more reload.

    Args:
        app: that serves.
        artefact: its folder or address, as it was named.
        say: called with a line about every reload.
    """

    def __init__(self, app: RecommendationApp, artefact: str | os.PathLike[str], say: Callable[[str], None]) -> None:
        self._app, self._artefact, self._say = app, artefact, say
        self._lock, self._wanted, self._busy = threading.Lock(), False, False

    def request(self) -> None:
        """Reload in a thread of its own."""
        with self._lock:
            self._wanted = True
            if self._busy:
                return
            self._busy = True
        threading.Thread(target=self._work, name="ltrec-reload", daemon=True).start()

    def _work(self) -> None:
        while self._again():
            self.reload()

    def _again(self) -> bool:
        with self._lock:
            self._busy, self._wanted = self._wanted, False
            return self._busy

    def reload(self) -> None:
        """Open, verify, warm and switch; or stay."""
        try:
            model = ServedModel(self._artefact)
            self._app.form.refuse(model)
        except UserError as error:
            self._end("failed", f"not reloaded, {self._app.batcher.model.short_digest} serves on: {error}")
        except Exception as error:  # noqa: BLE001  whatever it is, the old model serves on
            self._end("failed", f"not reloaded, {self._app.batcher.model.short_digest} serves on: {type(error).__name__}: {error}")
        else:
            self._app.serve(model)
            self._end("done", f"reloaded: {model.short_digest} of {model.about['run']} serves")

    def _end(self, result: str, line: str) -> None:
        self._app.state.reload = line
        self._app.metrics.reloads.labels(result).inc()
        self._say(line)
