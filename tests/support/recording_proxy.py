"""HTTP proxies that should not be used."""

import contextlib
import http.server
import socket
import threading

_VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "grpc_proxy", "HTTP_PROXY", "HTTPS_PROXY")


class _Handler(http.server.BaseHTTPRequestHandler):
    def _record(self):
        length = int(self.headers.get("Content-Length", 0))
        self.server.requests.append((self.command, self.path, self.rfile.read(length)))
        self.send_response(200 if self.command == "POST" else 502)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_CONNECT = do_GET = do_POST = do_HEAD = do_PUT = _record

    def log_message(self, *arguments):
        pass


@contextlib.contextmanager
def recording_proxy():
    """Run a proxy.

    Yields:
      The environment that sends all requests to it, and the list of its requests: method, target
      and body.
    """
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        server.requests = []
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield proxy_environment(server.server_port), server.requests
        finally:
            server.shutdown()
            thread.join()


def proxy_environment(port):
    """Environment with a proxy on a port of this machine, and without exceptions."""
    proxy = dict.fromkeys(_VARIABLES, f"http://127.0.0.1:{port}")
    return {**proxy, "no_proxy": "", "NO_PROXY": "", "no_grpc_proxy": ""}


def closed_port():
    """Return a port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
