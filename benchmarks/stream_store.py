"""An S3 store on this machine, moto's, as a process of its own: prints bucket and endpoint, and serves until its input ends.

python -m benchmarks.stream_store
"""

from __future__ import annotations

import logging
import sys
import threading
import urllib.request

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

BUCKET = "bench"


def main() -> None:
    """Serve."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = make_server("127.0.0.1", 0, DomainDispatcherApplication(create_backend_app), threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"127.0.0.1:{server.server_address[1]}"
    urllib.request.urlopen(urllib.request.Request(f"http://{address}/{BUCKET}", method="PUT"), timeout=60).close()
    print(BUCKET, f"http://{address}", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
