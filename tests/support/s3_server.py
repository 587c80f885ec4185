"""A real S3 server on this machine (moto's), which can be told to fail: errors, stalls, truncated and wrong bodies."""

from __future__ import annotations

import logging
import random
import threading
import time
import urllib.request
from collections import Counter
from pathlib import Path

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

from ltrec.data.remote.folder import open_store

BUCKET = "bucket"
FAULTS = ("503", "truncated", "flipped", "stalled")


class _Quiet(WSGIRequestHandler):
    def log(self, *_):
        pass


class S3Server:
    """Serves until `stop`; `requests` counts (method, name of the file).

    Attributes:
        faults: what goes wrong at random, of `FAULTS`; empty = nothing.
        share: of the requests for files that go wrong.
        stall_seconds: how long a stalled answer takes.
        happened: how often each fault was made.
    """

    def __init__(self, seed: int = 0) -> None:
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self.faults: tuple[str, ...] = ()
        self.share, self.stall_seconds = 0.3, 3.0
        self.happened: Counter[str] = Counter()
        self.requests: Counter[tuple[str, str]] = Counter()
        self.on_request = lambda method, name: None
        self._draw, self._lock = random.Random(seed), threading.Lock()
        self._app = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True, request_handler=_Quiet)
        self.address = f"127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        urllib.request.urlopen(urllib.request.Request(f"http://{self.address}/{BUCKET}", method="PUT"), timeout=60).close()

    def url(self, name: str) -> str:
        """The address of a folder."""
        return f"s3://{BUCKET}/{name}"

    def variables(self) -> dict[str, str]:
        """What the environment says of the service."""
        return {
            "AWS_ENDPOINT_URL": f"http://{self.address}",
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def stop(self) -> None:
        """Vanish: connections are refused from now on."""
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, environ, start_response):
        method, name = environ["REQUEST_METHOD"], "/".join(environ["PATH_INFO"].split("/")[-2:])
        self.on_request(method, name)
        with self._lock:
            self.requests[method, name] += 1
            fault = self._choose(method, name)
            self.happened[fault] += fault is not None
        if fault == "503":
            start_response("503 Slow Down", [("Content-Type", "application/xml"), ("Content-Length", "0")])
            return [b""]
        if fault == "stalled":
            time.sleep(self.stall_seconds)
        if fault in (None, "stalled"):
            return self._app(environ, start_response)
        return self._damaged(environ, start_response, fault)

    def _choose(self, method: str, name: str) -> str | None:
        possible = [fault for fault in self.faults if method == "GET" or (fault == "503" and method == "PUT")]
        goes_wrong = possible and "." in name and self._draw.random() < self.share
        return self._draw.choice(possible) if goes_wrong else None

    def _damaged(self, environ, start_response, fault):
        said = []
        content = bytearray(b"".join(self._app(environ, lambda *answer: said.append(answer))))
        start_response(said[0][0], [*said[0][1], ("Connection", "close")])
        if fault == "truncated":
            return [bytes(content[: len(content) // 2])]
        if content:
            content[len(content) // 2] ^= 16
        return [bytes(content)]


def upload_folder(server: S3Server, folder: Path, name: str) -> None:
    """Copy all files of a folder; requests are counted from then on."""
    store = open_store(server.url(name))
    for path in folder.rglob("*"):
        if path.is_file():
            store.upload(path, path.relative_to(folder).as_posix())
    server.requests.clear()
