"""A service that runs until it is told to stop: the profile is written when SIGTERM ends it.

    LD_PRELOAD=$PWD/build/libspprof.so SPPROF_OUT='service-%p.json' python3 tests/examples/service.py 8000 &
    curl http://127.0.0.1:8000/report
    kill %1
    build/spprof report service-*.json

With SPPROF_SPOOL=DIRECTORY `build/spprof snapshot PID` shows it while it runs, and a SIGKILL loses nothing.
"""
import http.server
import sys


def render(rows):
    return "\n".join(f"<tr><td>{i}</td><td>{i * i}</td></tr>" for i in range(rows)).encode()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = render(40_000)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 0), Handler)
print("http://127.0.0.1:%d" % server.server_port, flush=True)
server.serve_forever()
