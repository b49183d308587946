# SPDX-License-Identifier: MIT
"""A page of 200,000 frames in a real Chromium: far more than the writer leaves in one."""
import json
import os
import random
import re
import shutil
import subprocess
import tempfile

from cost import ROOT, check

FRAMES = 200_000
MEASURE = """
import { start } from '%(root)s/tests/viewer/chromium.mjs';
const browser = await start(process.argv[2]), { page, evaluate } = browser;
await page('Page.enable'), await page('Runtime.enable');
await page('Emulation.setDeviceMetricsOverride', { width: 1600, height: 1000, deviceScaleFactor: 1, mobile: false });
const there = new Promise(done => browser.on(m => m.method === 'Page.loadEventFired' && done()));
await page('Page.navigate', { url: 'file://' + process.argv[3] });
await there;
const found = { frames: await evaluate('drawn.n'), opened: await evaluate('performance.getEntriesByType("navigation")[0].loadEventEnd') };
const frames = await evaluate(`new Promise(done => {
  const all = [];
  let last = performance.now();
  const step = now => {
    all.push(now - last), last = now;
    S.x0 = drawn.width * all.length / 100, S.x1 = drawn.width * (1 - all.length / 200), draw();
    all.length < 40 ? requestAnimationFrame(step) : done(all.sort((a, b) => a - b));
  };
  requestAnimationFrame(step);
})`);
found.redraw = frames[20];
console.log(JSON.stringify(found));
await browser.close();
"""


def made(path, template):
    """A page with a profile of so many frames, each of some weight, in the place of another."""
    chance = random.Random(1)
    nodes, stack, entries = [], [], []
    for i in range(1, FRAMES + 1):
        while stack and (chance.random() < .47 or len(stack) > 80):
            stack.pop()
        parent = stack[-1] if stack else 0
        stack.append(i)
        nodes += i - parent, chance.randrange(3000)
        entries += i, chance.randrange(10**4, 10**7)
    data = {"name": "app.py (pid 1)", "functions": [[f"module{i % 40}.function{i}", f"/srv/module{i % 40}.py", i + 1, i % 9 == 0] for i in range(3000)],
            "sets": [{"wall": False, "nodes": nodes, "profiles": [{"name": "MainThread", "thread": 1, "entries": entries}]}],
            "spprof": {"pid": 1, "wall_ns": 10**12, "cpu": {"used": sum(entries[1::2])}}}
    with open(path, "w") as f:
        f.write(re.sub(r'(<script id="profile"[^>]*>)[^<]*', lambda m: m.group(1) + json.dumps(data), template, count=1))


def measured(what):
    with tempfile.TemporaryDirectory() as d:
        env = dict(os.environ, SPPROF_TEST_WRITE=d, SPPROF_TEST_GOLDEN=os.path.join(ROOT, "tests/golden"))
        subprocess.run([os.path.join(ROOT, "build/tests/unit/unit_writer"), "golden_html"], env=env, check=True, stdout=subprocess.DEVNULL)
        with open(os.path.join(d, "golden.html")) as f:
            made(os.path.join(d, "large.html"), f.read())
        with open(os.path.join(d, "measure.mjs"), "w") as f:
            f.write(MEASURE % {"root": ROOT})
        r = subprocess.run(["node", f.name, shutil.which("chromium"), os.path.join(d, "large.html")], check=True, capture_output=True, text=True)
    found = json.loads(r.stdout)
    assert found["frames"] > FRAMES, found
    return found[what]


@check(100, "ms a picture of 200,000 frames, while it is zoomed")
def redraw():
    return measured("redraw")


@check(1500, "ms until a page of 200,000 frames is drawn")
def opened():
    return measured("opened")
