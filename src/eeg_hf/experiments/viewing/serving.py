# SPDX-License-Identifier: Apache-2.0
"""The page of `eeg-hf view`: served on this computer only, by the standard library."""

import json
import sys
import webbrowser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from .arguments import ViewArguments
from .viewed_run import ViewedRun, answer

HOST = "127.0.0.1"
PAGES = {
    "/": ("page.html", "text/html"),
    "/page.js": ("page.js", "text/javascript"),
    "/page.css": ("page.css", "text/css"),
}


def run(args: ViewArguments) -> None:
    """Serve the page until the process is interrupted."""
    server = make_server(ViewedRun(Path(args.run[0]), args.data), args.port)
    address = f"http://{HOST}:{server.server_port}/"
    sys.stdout.write(f"{address} shows {args.run[0]}; Ctrl+C ends it\n")
    sys.stdout.flush()
    if args.browser:
        webbrowser.open(address)
    try:
        server.serve_forever()
    finally:
        server.server_close()


def make_server(viewed: ViewedRun, port: int) -> ThreadingHTTPServer:
    """Return a server of the page and its data.

    Args:
        viewed: What it shows.
        port: On this computer; 0 takes a free one.

    Raises:
        ValueError: If the port is in use.
    """

    class Handler(PageHandler):
        run = viewed

    try:
        return ThreadingHTTPServer((HOST, port), Handler)
    except OSError as error:
        raise ValueError(f"port {port} cannot be used ({error.strerror}): take another one, or 0") from error


class PageHandler(BaseHTTPRequestHandler):
    """Answers with a page, or with data as JSON. Nothing of an address is used as a path."""

    run: ViewedRun
    server_version = "eeg-hf"
    sys_version = ""

    def do_GET(self) -> None:  # noqa: N802  the standard library's name
        """Answer a request."""
        # A page of another site that a browser resolves to this computer has another name
        if self.headers.get("Host", "").rpartition(":")[0] not in (HOST, "localhost"):
            self._send(403, b"this page is for this computer only", "text/plain")
            return
        address = urlsplit(self.path)
        if address.path in PAGES:
            name, kind = PAGES[address.path]
            self._send(200, files(__package__).joinpath(name).read_bytes(), kind)
            return
        try:
            content: Any = answer(self.run, address.path, dict(parse_qsl(address.query)))
        except (KeyError, ValueError):
            self._send(404, b"not found", "text/plain")
            return
        self._send(200, json.dumps(content, ensure_ascii=False).encode(), "application/json")

    def _send(self, status: int, content: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Content-Security-Policy", "default-src 'self'; img-src data:")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet: a request is no news."""
