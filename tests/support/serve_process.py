"""`ltrec serve` as a process, and clients that ask it from several threads until they are told to stop."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx

from tests.support.commands import environment
from tests.support.timeouts import scaled

_EAGER = """
import sys
from ltrec.artefact import recommend
from ltrec.cli.main import main
from tests.support.tiny_artefact import EagerProgram
recommend.TorchProgram = EagerProgram
sys.exit(main(sys.argv[1:]))
"""


class ServerProcess:
    """A server that was started, and listens.

    Args:
        artefact: it serves, or a link.
        place: folder for its output.
        options: of the command.
        eager: the artefact's program was not exported.
    """

    def __init__(self, artefact: Path, place: Path, *options: str, port: int = 0, eager: bool = False) -> None:
        place.mkdir(parents=True, exist_ok=True)
        self.log, self.notes = place / "access.jsonl", place / "notes.txt"
        program = ["-c", _EAGER] if eager else ["-m", "ltrec"]
        words = [sys.executable, *program, "serve", str(artefact), "--port", str(port), *options]
        with open(self.log, "ab") as out, open(self.notes, "ab") as err:
            self.process = subprocess.Popen(words, stdout=out, stderr=err, env=environment())
        self.url = self._url()

    def _url(self) -> str:
        found = self.wait_for(lambda: re.search(r"on (http://\S+), process", self.notes.read_text()))
        return str(found[1])

    def wait_for(self, what: Callable[[], Any], seconds: float = 120) -> Any:
        """What comes true while the process runs."""
        end = time.monotonic() + scaled(seconds)
        while time.monotonic() < end:
            if found := what():
                return found
            assert self.process.poll() is None, self.notes.read_text()
            time.sleep(0.05)
        raise AssertionError(f"not within {seconds} s: {self.notes.read_text()}")

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def ended(self) -> int:
        """The exit code."""
        return self.process.wait(timeout=scaled(60))

    def answered(self) -> int:
        """Requests for recommendations that the access log says were answered."""
        lines = [json.loads(line) for line in self.log.read_text().splitlines()]
        assert {line["status"] for line in lines} == {200}, lines[-1]
        return sum(line["path"] == "/recommend" for line in lines)

    def __enter__(self) -> ServerProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()


class Crowd:
    """Threads that send histories again and again; an answer is kept with the history's number.

    Args:
        url: called for the server's address, before every attempt.
        histories: to be sent in turn.
        k: items wanted.
        threads: that send.
        most: requests in all; None = until `stop`.
        again: whether a request that the server did not take is sent once more, else the thread ends.
    """

    def __init__(
        self,
        url: Callable[[], str],
        histories: Sequence[dict],
        *,
        k: int,
        threads: int,
        most: int | None = None,
        again: bool = False,
    ) -> None:
        self._url, self._histories, self._k, self._again = url, histories, k, again
        self._most, self._next, self._lock = most, 0, threading.Lock()
        self.stop = threading.Event()
        self.answers: list[tuple[int, dict]] = []
        self.faults: list[str] = []
        self._threads = [threading.Thread(target=self._talk, daemon=True) for _ in range(threads)]
        for thread in self._threads:
            thread.start()

    def wait(self, seconds: float) -> None:
        """Until all threads have ended."""
        for thread in self._threads:
            thread.join(scaled(seconds))
            assert not thread.is_alive()

    def _take(self) -> int | None:
        with self._lock:
            if self.stop.is_set() or (self._most is not None and self._next >= self._most):
                return None
            self._next += 1
            return (self._next - 1) % len(self._histories)

    def _talk(self) -> None:
        with httpx.Client(timeout=scaled(60), trust_env=False) as client:
            while (number := self._take()) is not None:
                reply = self._reply(client, number)
                if reply is None:
                    return
                if reply.status_code == 200:
                    self.answers.append((number, reply.json()))
                else:
                    self.faults.append(reply.text)

    def _reply(self, client: httpx.Client, number: int) -> httpx.Response | None:
        """None where nobody takes it any more."""
        while True:
            try:
                return client.post(f"{self._url()}/recommend", json={"history": self._histories[number], "k": self._k})
            except (httpx.ConnectError, httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
                if not self._again:
                    return None
                time.sleep(0.05)
