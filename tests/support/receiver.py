# SPDX-License-Identifier: MIT
"""Who receives profiles: an HTTP server in the test, whose answers are what the test says."""
import collections
import http.server
import ssl
import subprocess
import threading
import time

Got = collections.namedtuple("Got", "path headers body at")


def answer(status=200, body=b"", **headers):
    def reply(handler):
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)
    return reply


def hang_up(handler):
    """No reply at all."""
    handler.close_connection = True


def half(handler):
    """Ends within its reply, whose status was good."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b"x" * 10)
    handler.close_connection = True


class Receiver:
    """answers: of the first requests, in turn; all others are answered with 200."""

    def __init__(self, *answers, port=0, certificate=None):
        self.got, self.answers, self.arrived = [], list(answers), threading.Condition()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with outer.arrived:
                    outer.got.append(Got(self.path, dict(self.headers), body, time.monotonic()))
                    reply = outer.answers.pop(0) if outer.answers else answer()
                    outer.arrived.notify_all()
                try:
                    reply(self)
                except OSError:  # who asked has gone
                    self.close_connection = True

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            allow_reuse_address = daemon_threads = True

            def handle_error(self, *_):
                pass

        self.server = Server(("127.0.0.1", port), Handler)
        self.port, self.scheme = self.server.server_address[1], "https" if certificate else "http"
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.thread.start()

    def url(self, path=""):
        return f"{self.scheme}://127.0.0.1:{self.port}{path}"

    def await_requests(self, n):
        with self.arrived:
            assert self.arrived.wait_for(lambda: len(self.got) >= n, 100), f"{len(self.got)} requests came, not {n}"
        return self.got

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def free_port():
    with Receiver() as r:
        return r.port


def certificate(directory, name="127.0.0.1"):
    """A server's, signed by itself: files of it and of its key."""
    out = f"{directory}/cert.pem", f"{directory}/key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}", "-addext",
                    f"subjectAltName=IP:{name}", "-out", out[0], "-keyout", out[1]], check=True, capture_output=True)
    return out
