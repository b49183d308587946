// SPDX-License-Identifier: MIT
// Opens pages in Chromium, once, and uses them as a person does. usage: page.mjs CHROMIUM WANTED.json
// WANTED: per page its file, and what its profile holds (page.py). A line each: "ok   CASE" or "FAIL CASE: why".
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { start } from './chromium.mjs';

const [chromium, wantedFile] = process.argv.slice(2), { pages: wanted, compared } = JSON.parse(readFileSync(wantedFile));
const browser = await start(chromium).catch(e => {
  console.log('skip: Chromium does not start here:', e.message);
  process.exit(77);
});
const { page, evaluate } = browser;
let asked = [], wrong = [], loaded = () => {};
browser.on(m => {
  if (m.method === 'Network.requestWillBeSent') asked.push(m.params.request.url);
  if (m.method === 'Runtime.exceptionThrown') wrong.push(m.params.exceptionDetails.exception?.description ?? m.params.exceptionDetails.text);
  if (m.method === 'Log.entryAdded' || m.method === 'Audits.issueAdded') wrong.push(JSON.stringify(m.params));
  if (m.method === 'Page.javascriptDialogOpening') wrong.push('a dialog: ' + m.params.message);
  if (m.method === 'Page.loadEventFired') loaded();
});
for (const domain of ['Page', 'Network', 'Runtime', 'Log', 'Audits', 'Accessibility']) await page(domain + '.enable');
await page('Page.addScriptToEvaluateOnNewDocument', { source: `addEventListener('securitypolicyviolation', e => console.assert(false, window.violation = e.violatedDirective))` });
await page('Emulation.setDeviceMetricsOverride', { width: 1200, height: 800, deviceScaleFactor: 1, mobile: false });
await look('light');

// Without animations: what is asked for is there at once.
function look(theme) {
  return page('Emulation.setEmulatedMedia', { features: [{ name: 'prefers-color-scheme', value: theme }, { name: 'prefers-reduced-motion', value: 'reduce' }] });
}

const frame = () => evaluate('new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))');

async function open(name) {
  const there = new Promise(done => loaded = done);
  asked = [], wrong = [];
  await page('Page.navigate', { url: 'file://' + (wanted[name] ?? compared).file });
  await there;
  await frame();
}

async function press(key, text = key.length === 1 ? key : undefined) {
  await page('Input.dispatchKeyEvent', { type: 'keyDown', key, text });
  await page('Input.dispatchKeyEvent', { type: 'keyUp', key });
  await frame();
}

const mouse = (type, x, y, more = {}) => page('Input.dispatchMouseEvent', { type, x, y, button: type === 'mouseMoved' ? 'none' : 'left', clickCount: 1, ...more });

async function click(x, y) {
  for (const type of ['mouseMoved', 'mousePressed', 'mouseReleased']) await mouse(type, x, y);
  await frame();
}

// Where in the window a frame is: the middle of what is seen of it
const place = n => evaluate(`(() => { const r = canvas.getBoundingClientRect(), k = W / (S.x1 - S.x0), a = Math.max(0, (drawn.x[${n}] - S.x0) * k),
  b = Math.min(W, (drawn.x[${n}] + drawn.total[${n}] - S.x0) * k); return [r.left + PAD + (a + b) / 2, r.top + RULER + rowOf(${n}) * ROW - stage.scrollTop + ROW / 2]; })()`);
const nodeOf = name => evaluate(`[...drawn.fn.keys()].filter(n => n && F[drawn.fn[n]].label === ${JSON.stringify(name)}).sort((a, b) => drawn.total[b] - drawn.total[a])[0] || 0`);
const shown = () => evaluate('[S.x0, S.x1]');
const text = id => evaluate(`document.getElementById('${id}').textContent`);
const colours = () => evaluate(`(() => { const d = g.getImageData(0, 0, canvas.width, canvas.height).data, s = new Set();
  for (let i = 0; i < d.length; i += 4) s.add(d[i] << 16 | d[i + 1] << 8 | d[i + 2]); return s.size; })()`);
const brightness = () => evaluate('g.getImageData(2, 60, 1, 1).data[0]');
const boxes = () => evaluate(`['stage', 'search', 'back', 'ask', 'sandwich', 'copy'].map(id => { const r = document.getElementById(id).getBoundingClientRect(); return [r.x, r.y, r.height].join(); }).join(' ')`);

const cases = {
  async every_page_draws() {
    for (const name in wanted) {
      await open(name);
      assert.deepEqual(wrong, [], name);
      assert.equal(await evaluate('window.violation'), undefined, name);
      assert.equal(asked.length, 1, `${name} asks for ${asked}`);
      assert.ok(await colours() > 2, `${name} is empty`);
      assert.ok(!/undefined|NaN|Infinity/.test(await evaluate('document.body.innerText')), name);
    }
  },
  async totals_are_the_profile_s() {
    for (const name in wanted) {
      await open(name);
      for (const [i, set] of wanted[name].sets.entries()) {
        if (i) await press('w');
        assert.equal(await evaluate('tree.total[0]'), set.total, name);
        assert.equal(await evaluate('drawn.width'), set.total, name);
        assert.deepEqual(await evaluate('set().profiles.map(p => p.sum)'), set.profiles, name);
        const [self, total] = await evaluate('[[...costs.self], [...costs.total]].map(c => Object.fromEntries(c.map((ns, f) => [f, ns]).filter(p => p[1])))');
        assert.deepEqual(self, set.self, name);
        assert.deepEqual(total, set.totals, name);
        await press('i');
        assert.equal(await evaluate('drawn.width'), set.total, name);
        assert.deepEqual(await evaluate('Object.fromEntries((drawn.rows[0] || []).map(n => [drawn.fn[n], drawn.total[n]]))'), set.self, name);
        await press('l');
      }
    }
  },
  async told_of_the_profile() {
    for (const name in wanted) {
      await open(name);
      const { python, samples, losses } = wanted[name].said, facts = await text('facts'), about = await evaluate(`[...document.querySelectorAll('#about p')].map(p => p.textContent)`);
      assert.ok(facts.includes(`Python ${python}`), facts);
      assert.match(facts, / CPU in .*samples.*every .*\(asked .*\)/s);
      assert.ok(facts.includes(samples.toLocaleString('en') + ' samples'), facts);
      for (const [what, n] of Object.entries(losses)) assert.ok(about.includes(`${n.toLocaleString('en')} ${n === 1 ? 'loss' : 'losses'}: ${what}`), `${name}: ${n} ${what}: ${about}`);
      assert.ok(about.some(p => p.startsWith('Command: ')) && about.some(p => p.startsWith('Seen promptly: ')), about.join());
    }
  },
  async lets_nothing_else_run() {
    await open('program');
    assert.match(await evaluate(`document.querySelector('meta[http-equiv="Content-Security-Policy"]').content`), /^default-src 'none'; script-src 'sha256-[^' ]+'; style-src 'sha256-[^' ]+'; base-uri 'none'; form-action 'none'$/);
    await evaluate(`document.body.append(Object.assign(document.createElement('script'), { textContent: 'window.hostile = 4' })), document.body.insertAdjacentHTML('beforeend', '<img src=x onerror="window.hostile = 5">')`);
    assert.equal(await evaluate(`fetch('data:text/plain,x').then(() => 'fetched', () => 'refused')`), 'refused');
    assert.equal(await evaluate('window.hostile'), undefined);
    assert.match(await evaluate('window.violation'), /^(script|img|connect)-src|default-src/);
    assert.equal(asked.filter(url => !url.startsWith('file:///') && !url.startsWith('data:')).length, 0, asked.join());
  },
  async zoomed_by_mouse() {
    await open('program');
    const all = await shown(), n = await nodeOf('warmest'), [x, y] = await place(n);
    await click(x, y);
    assert.deepEqual(await shown(), await evaluate(`[drawn.x[${n}], drawn.x[${n}] + drawn.total[${n}]]`));
    const inner = await evaluate(`[...drawn.fn.keys()].find(m => drawn.parent[m] === ${n} && F[drawn.fn[m]].label === 'hottest')`);
    await click(...await place(inner));
    assert.equal(await evaluate('S.x1 - S.x0'), await evaluate(`drawn.total[${inner}]`));
    await press('Backspace');
    assert.equal(await evaluate('S.x1 - S.x0'), await evaluate(`drawn.total[${n}]`));
    await press('Escape');
    assert.deepEqual(await shown(), all);
    const wheel = async modifiers => (await mouse('mouseWheel', x, y, { deltaX: 0, deltaY: -100, button: 'none', modifiers }), await frame());
    await wheel(2);
    const [x0, x1] = await shown();
    assert.ok(x0 >= all[0] && x1 <= all[1] && x1 - x0 < all[1] - all[0], [x0, x1, all].join());
    await mouse('mousePressed', 600, y), await mouse('mouseMoved', 500, y, { buttons: 1, button: 'left' }), await mouse('mouseReleased', 500, y);
    await frame();
    assert.ok((await shown())[0] > x0, 'dragging does not move it');
    await open('golden'); // all of it is in the window
    await wheel(0);
    assert.ok(await evaluate('S.x1 - S.x0 < drawn.width'), 'the wheel does not zoom');
  },
  async keys_alone() {
    await open('program');
    await press('Tab');
    await evaluate('canvas.focus()');
    await press('ArrowDown');
    assert.equal(await evaluate('rowOf(S.focus)'), 0);
    for (let i = 0; i < 2; i++) await press('ArrowDown');
    assert.equal(await evaluate('rowOf(S.focus)'), 2);
    await press('ArrowUp');
    assert.equal(await evaluate('rowOf(S.focus)'), 1);
    assert.ok((await text('said')).includes('%') && (await text('said')).startsWith(await text('name')), await text('said'));
    await press('Enter');
    assert.equal(await evaluate('S.x1 - S.x0'), await evaluate('drawn.total[S.focus]'));
    await press('Escape');
    await press('+');
    assert.ok(await evaluate('S.x1 - S.x0 < drawn.width'));
    await press('-'), await press('Escape');
    for (const [key, state] of [['f', 'functions'], ['i', 'callers'], ['l', 'heavy']]) {
      await press(key);
      assert.equal(await evaluate('S.view'), state);
    }
    await press(']');
    const thread = await evaluate('S.of');
    assert.ok(/^t/.test(thread), thread);
    await press('t');
    assert.equal(await evaluate('S.view'), 'time');
    assert.equal(await evaluate('drawn.width'), await evaluate('chosen()[0].sum'));
    const order = await evaluate('(drawn.rows[0] || []).map(n => drawn.x[n])');
    assert.deepEqual(order, [...order].sort((a, b) => a - b));
    await press('['), await press('?');
    assert.ok(await evaluate(`document.getElementById('help').open`));
    await press('Escape');
    assert.deepEqual(wrong, []);
  },
  async searched() {
    await open('program');
    const want = wanted.program.sets[0].search;
    await press('/', undefined);
    for (const c of 'hottest') await press(c);
    assert.ok((await text('found')).startsWith(want.hottest), `${await text('found')}, not ${want.hottest}`);
    await press('Enter');
    assert.equal(await evaluate('F[drawn.fn[S.focus]].label'), 'hottest');
    const first = await evaluate('S.focus');
    await press('n');
    assert.notEqual(await evaluate('S.focus'), first);
    await press('N');
    assert.equal(await evaluate('S.focus'), first);
    const type = q => evaluate(`document.getElementById('search').value = ${JSON.stringify(q)}, document.getElementById('search').oninput()`);
    await type('/^(hottest|warmest)$/');
    assert.ok((await text('found')).startsWith(want['/^(hottest|warmest)$/']) && (await text('found')).endsWith('in 2 functions'), await text('found'));
    await type('/(/');
    assert.equal(await text('found'), 'no regular expression');
    await type('no such function');
    assert.equal(await text('found'), 'not found');
    await type('HOTTEST');
    assert.ok((await text('found')).startsWith(want.hottest), await text('found'));
  },
  async callers_and_callees() {
    await open('program');
    const hot = await nodeOf('hottest');
    await click(...await place(hot));
    await press('s');
    const f = await evaluate('S.f');
    assert.equal(await evaluate(`F[${f}].label`), 'hottest');
    assert.equal(await evaluate('drawn.width'), wanted.program.sets[0].totals[f]);
    assert.equal(await evaluate('F[drawn.fn[drawn.rows[drawn.base - 1][0]]].label'), 'warmest');
    assert.equal(await evaluate('F[drawn.fn[drawn.rows[drawn.base + 1][0]]].label'), 'busy');
    await press('ArrowUp');
    assert.equal(await text('name'), 'warmest');
    await press('Backspace');
    assert.equal(await evaluate('S.f'), -1);
    await press('f');
    await evaluate(`document.querySelector('#list tbody button').click()`);
    assert.equal(await evaluate('drawn.width'), await evaluate('costs.total[S.f]'));
  },
  async told_of_a_frame() {
    await open('program');
    const n = await nodeOf('warmest'), before = await boxes(), [x, y] = await place(n), ns = await evaluate(`time(drawn.total[${n}])`);
    await mouse('mouseMoved', x, y);
    await frame();
    const tip = await text('tip');
    assert.ok(tip.startsWith('warmest') && /app\d*\.py:/.test(tip) && tip.includes(ns), tip);
    await click(x, y);
    await evaluate(`document.getElementById('search').value = 'warmest', document.getElementById('search').oninput()`);
    assert.equal(await boxes(), before, 'the page jumps');
    await browser.grant('clipboardReadWrite', 'clipboardSanitizedWrite');
    await press('c');
    assert.match(await evaluate('navigator.clipboard.readText()'), /app\d*\.py:\d+$/);
  },
  async dark_by_preference() {
    await open('program');
    assert.ok(await brightness() > 200);
    await look('dark');
    await frame();
    assert.ok(await brightness() < 60);
    await look('light');
    await frame();
    assert.ok(await brightness() > 200);
  },
  async waits_are_grey() {
    await open('program');
    await press('w');
    assert.ok(await evaluate('set().wall'));
    const fills = await evaluate(`[...new Set(drawn.fn.slice(1))].map(f => [F[f].label, F[f].kind, colour(f, '')])`);
    const waits = fills.filter(f => /^\(waiting/.test(f[0]));
    assert.ok(waits.length && waits.every(f => f[1] === 3 && / 0 /.test(f[2])), JSON.stringify(fills));
    assert.ok(fills.some(f => f[1] === 0 && !/ 0 /.test(f[2])), JSON.stringify(fills));
  },
  async hostile_names_stay_text() {
    await open('hostile');
    assert.equal(await evaluate('window.hostile'), undefined);
    assert.equal(await evaluate(`document.querySelectorAll('img, iframe, body script:not(#profile) + script, b b').length`), 0);
    const labels = await evaluate('F.map(f => f.name)');
    for (const name of wanted.hostile.names) assert.ok(labels.includes(name), `${JSON.stringify(name)} is not among ${JSON.stringify(labels)}`);
    await press('f');
    assert.ok((await text('list')).includes('</script><script>window.hostile=1</script>'));
    assert.ok(!/[\u202e\u0001\u200b]/.test(await evaluate('document.body.innerText + document.title')));
    assert.deepEqual(wrong, []);
  },
  async of_several_processes() {
    await open('merged');
    const names = await evaluate(`[...document.getElementById('threads').options].map(o => o.textContent)`);
    assert.ok(Object.keys(wanted.merged.roots).every(root => names.some(n => n.startsWith('MainThread, ' + root))), names.join());
    for (const [name, ns] of Object.entries(wanted.merged.roots)) {
      const i = names.indexOf(name);
      assert.ok(i > 0, `${name} is not among ${names}`);
      await evaluate(`document.getElementById('threads').selectedIndex = ${i}, document.getElementById('threads').onchange({target: document.getElementById('threads')})`);
      assert.equal(await evaluate('drawn.width'), ns);
    }
  },
  async two_compared() {
    await open('compared');
    assert.deepEqual(wrong, []);
    assert.equal(await evaluate('window.violation'), undefined);
    assert.equal(asked.length, 1, `it asks for ${asked}`);
    assert.ok((await text('title')).endsWith('before \u2192 ' + compared.file.replace('compared.html', 'after.json')), await text('title'));
    const changes = await evaluate(`Object.fromEntries([...F.keys()].filter(isThere).map(f => [F[f].name, Object.fromEntries(['self', 'total'].map(k => [k, ofFunction(f, k)]))]))`);
    assert.deepEqual(Object.keys(changes).sort(), Object.keys(compared.functions).sort());
    for (const [name, { self, total }] of Object.entries(changes)) {
      assert.deepEqual({ self: [self.a, self.b], total: [total.a, total.b] }, compared.functions[name], name);
      const { by, noise, total: of, is } = compared.table[name];
      for (const [seen, said] of [[self.by, by], [self.noise, noise], [total.by, of]]) assert.ok(Math.abs(100 * seen - said) < .06, `${name}: ${seen}, in the table ${said}`);
      assert.equal(self.is, is, name);
    }
    const drawnAll = () => evaluate(`drawn.fn.slice(1).map((f, i) => [F[f].name, drawn.changes[i + 1].a, drawn.changes[i + 1].b, drawn.changes[i + 1].is && drawn.changes[i + 1].by, colour(keyOf(i + 1, f), ''), drawn.total[i + 1]])`);
    for (const [i, own, other] of [[1, 'new', 'gone'], [0, 'gone', 'new']]) { // as wide as in B, in A
      assert.equal(await evaluate('drawn.width'), compared.of[i]);
      assert.equal(await evaluate('(drawn.rows[0]).reduce((sum, n) => sum + drawn.total[n], 0)'), compared.of[i]);
      assert.ok(await nodeOf(own) && !await evaluate(`drawn.total[${await nodeOf(other)}]`));
      for (const [name, a, b, by, fill, wide] of (await drawnAll()).filter(row => row[5])) {
        assert.equal(wide, i ? b : a, name);
        assert.match(fill, !by ? / 0 \d+\)$/ : by > 0 ? / 27\)$/ : / 255\)$/, `${name} is ${fill}`);
      }
      const [x, y] = await place(await nodeOf('render'));
      await mouse('mouseMoved', x, y);
      await frame();
      assert.match(await text('tip'), /^render.*AB.*changenoise.*here27\.3.%300.ms52\.4.%900.ms\+25\.1/s);
      assert.match(await evaluate(`told(${await nodeOf('log')})[0]`), /chance/);
      for (const [key, width] of [['i', compared.of[i]], ['l', compared.of[i]]]) {
        await press(key);
        assert.equal(await evaluate('drawn.width'), width);
      }
      await evaluate(`S.focus = ${await nodeOf('parse')}, sandwich()`); // with what no other view pairs: callers and callees
      const parse = compared.functions.parse.total;
      assert.deepEqual(await evaluate('[drawn.changes[1].a, drawn.changes[1].b, drawn.width]'), [...parse, parse[i]]);
      await press('Backspace');
      await press('w');
    }
    await press('f');
    assert.ok(/^render/.test(await evaluate(`document.querySelector('#list tbody tr td:last-child').textContent`)), await text('list'));
    await evaluate(`[...document.querySelectorAll('#list tbody button')].find(b => b.textContent === 'gone').click()`);
    assert.deepEqual(await evaluate('[S.set, drawn.width]'), [1, compared.functions.gone.total[0]]);
    assert.ok(!/undefined|NaN|Infinity/.test(await evaluate('document.body.innerText')));
    assert.deepEqual(wrong, []);
    await press('Escape'), await look('dark');
    await frame();
    assert.ok(await colours() > 2 && await brightness() < 60);
    await look('light');
  },
  async read_aloud() {
    await open('program');
    const { nodes } = await page('Accessibility.getFullAXTree');
    const named = nodes.map(n => [n.role?.value, n.name?.value ?? '']);
    assert.ok(named.some(([role, name]) => /cell/i.test(role) && name.startsWith('busy')), 'no table in the accessibility tree');
    assert.ok(named.some(([role, name]) => role === 'application' && name.startsWith('Flame graph')));
    assert.ok(nodes.filter(n => n.properties?.some(p => p.name === 'pressed' && p.value.value === 'true')).length >= 2);
  },
  async deep_and_narrow() {
    await page('Emulation.setDeviceMetricsOverride', { width: 420, height: 700, deviceScaleFactor: 2, mobile: false });
    await open('deep');
    assert.ok(await evaluate('drawn.rows.length') > 3000);
    assert.ok(await evaluate('document.documentElement.scrollWidth <= innerWidth'), 'it is wider than the window');
    await evaluate('stage.scrollTop = 1e9');
    await frame();
    assert.ok(await colours() > 2, 'the deepest frames are not drawn');
    await page('Emulation.setDeviceMetricsOverride', { width: 1200, height: 800, deviceScaleFactor: 1, mobile: false });
  },
};

let failed = 0;
for (const [name, run] of Object.entries(cases)) try {
  await run();
  console.log('ok  ', name);
} catch (e) {
  failed++;
  console.log('FAIL', name + ':', e.message, e.stack.split('\n').find(line => line.includes('page.mjs'))?.trim());
}
await browser.close();
process.exit(failed ? 1 : 0);
