# SPDX-License-Identifier: MIT
"""A run of a dozen processes: Django under gunicorn, a celery pool, programs that a request starts. One profile is made of all."""
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request

here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(here, "..", "support"))
from harness import BUSY, free_port, program  # noqa: E402
from page import Page  # noqa: E402
from pprof import Pprof  # noqa: E402

TASKS = BUSY + """
import os
from celery import Celery
q = os.path.abspath('q')
app = Celery('tasks', broker='filesystem://', backend='file://' + q)
app.conf.broker_transport_options = {'data_folder_in': q, 'data_folder_out': q}
@app.task
def thumbnail(n):
    busy(0.02)
    return n * n
"""

SITE = BUSY + """
import json, os, subprocess, sys
from django.conf import settings
settings.configure(SECRET_KEY='-', ROOT_URLCONF=__name__, ALLOWED_HOSTS=['*'])
import django
django.setup()
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path
from tasks import thumbnail
def render(n):
    until = time.thread_time() + (0.02 if os.environ.get('SLOW') else 0.006)
    while time.thread_time() < until: pass
def query(n): busy(0.006)
def import_file(n): return subprocess.run([sys.executable, os.path.abspath('../loader.py'), str(n)], capture_output=True, check=True, text=True).stdout
def index(request):
    n = int(request.GET['n'])
    query(n)
    render(n)
    said = import_file(n) if n % 10 == 3 else ''
    if n % 4 == 0: thumbnail.delay(n)
    return HttpResponse(str(n) + said)
urlpatterns = [path('', index)]
application = get_wsgi_application()
"""

LOADER = BUSY + "import sys\ndef load(n): busy(0.05)\nload(int(sys.argv[1]))\nprint('loaded', sys.argv[1])\n"

SHOP = """
import signal, subprocess, sys
signal.signal(signal.SIGTERM, lambda *a: None)
server = subprocess.Popen(['gunicorn', '-w', '3', '-b', '127.0.0.1:' + sys.argv[1], 'site_:application'])
worker = subprocess.Popen(['celery', '-A', 'tasks', 'worker', '-c', '3', '-l', 'WARNING', '--without-gossip', '--without-mingle'])
sys.stdin.read()
for p in (worker, server): p.send_signal(signal.SIGTERM)
sys.exit(worker.wait() or server.wait())
"""


def ask(run, directory, slow):
    """The shop, once: what 40 requests answered."""
    os.makedirs(os.path.join(directory, "q"))
    port = str(free_port())
    env = run.env(C_FORCE_ROOT="1", PYTHONPATH="..", **({"SLOW": "1"} if slow else {}))
    if run.preload:
        env["SPPROF_OUT"] = os.path.join(directory, "profiles/")
        os.mkdir(env["SPPROF_OUT"])
    shop = subprocess.Popen([run.python, "../shop.py", port], cwd=directory, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True)
    try:
        answers, until = [], time.time() + 90
        while len(answers) < 40:
            try:
                answers.append(urllib.request.urlopen(f"http://127.0.0.1:{port}/?n={len(answers)}", timeout=30).read().decode())
            except ConnectionError:
                assert time.time() < until and shop.poll() is None, "the shop does not open"
                time.sleep(0.1)
            except OSError as e:
                assert "refused" in str(e) and time.time() < until and shop.poll() is None, e
                time.sleep(0.1)
        while len([n for n in os.listdir(os.path.join(directory, "q")) if n.startswith("celery-task-meta")]) < 10:
            assert time.time() < until, os.listdir(os.path.join(directory, "q"))
            time.sleep(0.1)
        output = shop.communicate("", timeout=60)[0]
    finally:
        if shop.poll() is None:
            shop.kill()
    assert shop.returncode == 0, (shop.returncode, output[-3000:])
    return answers


def spprof(run, *arguments, code=(0,)):
    command = os.path.join(os.path.dirname(run.library), "spprof")
    r = subprocess.run([command, *arguments], capture_output=True, text=True, cwd=run.directory)
    assert r.returncode in code, (arguments, r.returncode, r.stderr)
    return r.stdout


def drawn_by_go(run, name):
    """What the flame graph adds up to that `go tool pprof -http` draws; None: there is no Go."""
    go = shutil.which("go", path=os.environ.get("PATH", "") + ":/usr/local/go/bin")
    if not go:
        return None
    port = free_port()
    env = dict(os.environ, PPROF_TMPDIR=run.directory, GOCACHE=os.path.join(os.path.dirname(run.library), "tests", "go-cache"), GOTOOLCHAIN="local")
    server = subprocess.Popen([go, "tool", "pprof", "-no_browser", f"-http=127.0.0.1:{port}", name], cwd=run.directory, env=env, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        until = time.time() + 300  # newer releases build it first
        while True:
            try:
                page = urllib.request.urlopen(f"http://127.0.0.1:{port}/ui/flamegraph", timeout=60).read().decode()
                break
            except OSError:
                assert time.time() < until and server.poll() is None, "go tool pprof does not listen"
                time.sleep(0.2)
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait()
    graph = json.JSONDecoder().raw_decode(page[page.index('{"Total":'):])[0]
    assert graph["Total"] == sum(s["Value"] for s in graph["Stacks"]), graph["Total"]
    return graph["Total"]


def listed_by_speedscope(run, name):
    """What Speedscope shows for "All threads", as it rounds; None: it is not installed."""
    viewer = os.path.join(here, "..", "viewer")
    if not shutil.which("node") or not os.path.exists(os.path.join(viewer, "node_modules", "speedscope")):
        return None
    r = subprocess.run(["node", os.path.join(viewer, "import.mjs"), os.path.join(run.directory, name)], capture_output=True, text=True, check=True)
    seen = json.loads(r.stdout.splitlines()[-1])
    assert seen["ok"], seen
    return next(total for _, name, total in seen["profiles"] if name.startswith("All threads"))


@program
def dozen(run):
    for name, text in (("tasks.py", TASKS), ("site_.py", SITE), ("loader.py", LOADER), ("shop.py", SHOP)):
        run.write(text, name)
    answers = [ask(run, os.path.join(run.directory, name), name == "slow") for name in ("quick", "slow")]
    if not run.preload:
        return answers
    run.out = os.path.join(run.directory, "quick/profiles")
    profiles = run.profiles()
    assert len(profiles) >= 12, len(profiles)
    total = sum(p.total() for p in profiles)
    for suffix in ("json", "pb.gz", "html", "collapsed"):
        spprof(run, "merge", "-o", f"run.{suffix}", "quick/profiles")
    told = json.loads(spprof(run, "report", "--json", "run.json"))
    assert told["cpu_ns"] == total, (told["cpu_ns"], total)
    with open(os.path.join(run.directory, "run.collapsed")) as f:
        assert sum(int(line.rsplit(" ", 1)[1]) for line in f if not line.startswith("#")) == total
    assert Pprof(os.path.join(run.directory, "run.pb.gz")).total() == total
    assert Page(os.path.join(run.directory, "run.html")).total() == total and os.path.getsize(os.path.join(run.directory, "run.html")) < 2 << 20
    by_go, by_speedscope = drawn_by_go(run, "run.pb.gz"), listed_by_speedscope(run, "run.json")
    assert by_go in (total, None) and by_speedscope in (f"{total / 1e9:.2f}s", None), (by_go, by_speedscope, total)
    print(f"  dozen: {total} ns in every format; Go draws {by_go}, Speedscope lists {by_speedscope}")
    tree = spprof(run, "report", "--tree", "--by", "process", "-n", "0", "quick/profiles")
    for what, n in (("shop.py", 1), ("gunicorn", 4), ("celery", 4), ("loader.py", 4)):
        assert len(re.findall(rf"\b{re.escape(what)}\b.*\[\d+\]", tree)) >= n, (what, tree)
    diff = spprof(run, "diff", "quick/profiles", "slow/profiles")
    first = diff.split("Function (file)\n")[1].splitlines()[0]
    assert " render (" in first and not first.startswith("~"), diff
    return answers
