"""Serve the page to play with, on this machine alone."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from edcore.errors import EDCoreError

HOST, PORT = "127.0.0.1", 8017


def listen(page: str, port: int | None) -> ThreadingHTTPServer:
    """Return a server of the page, on the port that was asked for, else on the usual one, or if that is taken on any.

    It accepts connections from now on, and answers them in its `serve_forever`.
    """
    content = page.encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """Answer with the page, or that there is no other."""
            if self.path.partition("?")[0] != "/":
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *message: object) -> None:
            """Print nothing: the page is loaded once, and loads nothing more."""

    try:
        return ThreadingHTTPServer((HOST, PORT if port is None else port), Handler)
    except OSError as error:
        if port is None:
            return ThreadingHTTPServer((HOST, 0), Handler)
        fix = "Give another one, or leave --port out to have a free one."
        raise EDCoreError(f"--port: {port} cannot be served ({error.strerror or error}). {fix}") from error
