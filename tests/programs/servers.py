# SPDX-License-Identifier: MIT
"""Servers, and clients of theirs."""
import subprocess

from harness import BUSY, free_port, program, serve
from lives import lives, unseen, waits

WSGI = BUSY + """
def answer(n):
    busy(0.003)
    return b"%d squared is %d" % (n, n * n)
def application(environ, start_response):
    n = int(environ["QUERY_STRING"].partition("=")[2] or 0)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [answer(n)]
"""


@program
def gunicorn(run):
    run.write("from flask import Flask, request\nfrom wsgi import answer\napplication = Flask(__name__)\n"
              "@application.route('/')\ndef root(): return answer(int(request.args['n']))\n", "app.py")
    run.write(WSGI, "wsgi.py")
    port = free_port()
    got = serve(run, ["gunicorn", "-w", "2", "-b", f"127.0.0.1:{port}", "app:application"], port)
    run.seen("answer", "root", least=0.2e9)
    assert not run.preload or len(run.profiles()) >= 3
    return got


@program
def gunicorn_waits(run):
    """Workers that ask something slow: their lives show what they measured themselves."""
    run.write("""
import socket, time
def query():
    a_ns = time.monotonic_ns()
    with socket.create_connection(("127.0.0.1", %d)) as s: s.recv(1)
    return time.monotonic_ns() - a_ns
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"%%d" %% query()]
""" % (slow := free_port()))
    server = subprocess.Popen([run.python, "-c", f"""
import socket, time
s = socket.create_server(("127.0.0.1", {slow}), backlog=100)
while True:
    c = s.accept()[0]; time.sleep(.03); c.sendall(b"x"); c.close()
"""], env=run.env(False))
    try:
        port = free_port()
        answers = serve(run, ["env", "SPPROF_WALL=1", "gunicorn", "-w", "2", "-b", f"127.0.0.1:{port}", "app:application"], port, requests=30)
    finally:
        server.kill()
        server.wait()
    if run.preload:
        seen = missed = 0
        for p in run.profiles():
            for stacks in lives(p).values():
                seen, missed = seen + waits(stacks, "query"), missed + unseen(stacks)
        took = sum(map(int, answers))
        first = 0.5e9  # the answer to the question whether the server is there is not among them
        assert 0.98 * (took - missed) <= seen <= 1.02 * took + first, (seen, took, missed)
    return len(answers)


@program
def uvicorn(run):
    run.write(WSGI + """
async def app(scope, receive, send):
    if scope["type"] != "http": return
    body = answer(int(scope["query_string"].partition(b"=")[2] or 0))
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})
""", "asgi.py")
    port = free_port()
    got = serve(run, ["uvicorn", "asgi:app", "--workers", "2", "--port", str(port), "--log-level", "warning"], port, codes=(0, -15))
    run.seen("answer", "app", least=0.2e9)
    return got


# Sampled: both ends. Many short requests over kept connections, each with time limits.
@program
def httpx(run):
    run.write(WSGI + """
async def app(scope, receive, send):
    if scope["type"] != "http": return
    body = b"%d" % len(scope["query_string"])
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})
""", "asgi.py")
    port = free_port()
    client = run.write("""
import anyio, httpx, sys
url = "http://127.0.0.1:%s/?n=" % sys.argv[1]
async def ask(client, k, got):
    for n in range(k, 1200, 4): got.append((n, (await client.get(url + str(n))).text))
async def main():
    got = []
    async with httpx.AsyncClient(timeout=20) as client, anyio.create_task_group() as group:
        for k in range(4): group.start_soon(ask, client, k, got)
    return sorted(got)
with httpx.Client(timeout=20) as client:
    print([client.get(url + str(n)).text for n in range(400)] == [str(len("n=%d" % n)) for n in range(400)])
for backend in ("asyncio", "trio"):
    print(backend, anyio.run(main, backend=backend) == [(n, str(len("n=%d" % n))) for n in range(1200)])
""", "client.py")
    asked = []
    serve(run, ["uvicorn", "asgi:app", "--port", str(port), "--log-level", "warning"], port, requests=4, codes=(0, -15),
          meanwhile=lambda: asked.append(run.do(run.python, client, str(port), timeout=120)))
    run.seen("ask", "app", least=0.05e9)
    return asked[0]


@program
def uwsgi(run):
    run.write(WSGI, "wsgi.py")
    port = free_port()
    got = serve(run, ["uwsgi", "--http-socket", f"127.0.0.1:{port}", "--module", "wsgi", "--master", "--processes", "2", "--threads", "2",
                      "--die-on-term", "--need-app"], port)
    run.seen("answer", "application", least=0.2e9)
    return got
