// ---- what is shown; alone.js, of one profile, and diff.js, of two, say how it looks and what is told of it
const S = {set: 0, of: '', view: 'heavy', f: -1, x0: 0, x1: 1, focus: 0, hover: 0, history: [], sort: 'self', matched: null};
let tree, drawn, costs;

const set = () => sets[S.set];

// Self and total of each function, once a stack
function costsOf(t) {
  const self = new Float64Array(F.length), total = new Float64Array(F.length), on = new Int32Array(F.length);
  for (let n = t.first[0]; n;) {
    const f = t.fn[n];
    self[f] += t.self[n];
    if (!on[f]++) total[f] += t.total[n];
    let to = t.first[n];
    while (!to && n) on[t.fn[n]]--, to = t.next[n], n = to ? n : t.parent[n];
    n = to;
  }
  return {self, total};
}

function choose() {
  tree = treeOf(set(), chosen(), S.of[0] === 'p' ? +S.of.slice(1) : 0);
  costs = costsOf(tree);
  S.f = S.f >= 0 && costs.total[S.f] ? S.f : -1;
  search();
  show();
}

function pictureOf(t) {
  const ends = [];
  for (let i = 1; S.view === 'callers' && S.f < 0 && i < t.n; i++) if (t.self[i]) ends.push(i);
  return S.f >= 0 ? sandwiched(t, S.f) : S.view === 'callers' ? heavy(merged(t, ends, ends.map(n => t.self[n]))) : heavy(t);
}

function show() {
  drawn = picture(tree);
  S.x0 = 0, S.x1 = drawn.width || 1;
  S.focus = S.hover = 0, S.history = [];
  stage.scrollTop = S.f >= 0 ? drawn.base * ROW - 200 : 0;
  controls();
  resize();
  describe();
}

// ---- drawing
const ROW = 20, RULER = 22, PAD = 16, canvas = $('graph'), stage = $('stage'), g = canvas.getContext('2d');
const dark = matchMedia('(prefers-color-scheme: dark)'), still = matchMedia('(prefers-reduced-motion: reduce)');
const widths = new Map();
let W = 0, H = 0, asked = 0;

function stateOf(f) {
  if (S.hover && drawn.fn[S.hover] === f) return 'same';
  return S.matched ? S.matched[f] ? 'match' : 'faint' : '';
}

function draw() {
  asked = 0;
  const scale = devicePixelRatio, d = dark.matches, top = stage.scrollTop, k = W / (S.x1 - S.x0), fills = new Map();
  g.setTransform(scale, 0, 0, scale, 0, 0);
  const {backgroundColor, fontFamily} = getComputedStyle(document.body);
  g.fillStyle = backgroundColor, g.fillRect(0, 0, W + 2 * PAD, H);
  g.save(), g.translate(PAD, 0), g.beginPath(), g.rect(0, 0, W, H), g.clip();
  g.font = '12px ' + fontFamily, g.textBaseline = 'middle';
  const last = min(drawn.rows.length, ceil((top + H) / ROW));
  for (let r = max(0, floor((top - RULER) / ROW)); r < last; r++) drawRow(r, RULER + r * ROW - top, k, fills);
  g.lineWidth = 2;
  for (const [n, ink] of [[S.hover, d ? '#fff8' : '#0006'], [S.focus, d ? '#fff' : '#000']]) if (n) outline(n, top, k, ink);
  g.fillStyle = backgroundColor, g.fillRect(0, 0, W, RULER - 2);
  ruler(k);
  g.restore();
}

// The first frame of a row from `from` on that ends behind `at`
function beyond(row, at, from) {
  let lo = from, hi = row.length;
  while (lo < hi) {
    const mid = lo + hi >> 1;
    if (end(row[mid]) > at) hi = mid; else lo = mid + 1;
  }
  return lo;
}

function drawRow(r, y, k, fills) {
  const row = drawn.rows[r], {x, total, fn} = drawn;
  for (let i = beyond(row, S.x0, 0); i < row.length && x[row[i]] < S.x1;) {
    const n = row[i], f = fn[n], left = (x[n] - S.x0) * k, width = total[n] * k;
    const key = keyOf(n, f);
    if (!fills.has(key)) fills.set(key, colour(key, stateOf(f)));
    g.fillStyle = fills.get(key);
    if (width < 1) { // one for all that share its pixel
      g.fillRect(floor(left), y, 1, ROW - 1);
      i = beyond(row, S.x0 + (floor(left) + 1) / k, i + 1);
      continue;
    }
    const from = max(left, -2), to = min(left + width, W + 2);
    g.fillRect(from, y, max(to - from - (width > 3 ? 1 : .4), .6), ROW - 1);
    if (to - max(from, 0) > 22) words(F[f], S.matched && S.matched[f], max(from, 0) + 5, y + ROW / 2, to - max(from, 0) - 10);
    i++;
  }
}

const widthOf = s => widths.get(s) || widths.set(s, g.measureText(s).width).get(s);

// The name as far as there is room, and behind it where it is
function words(f, matched, x, y, room) {
  let s = f.label, w = widthOf(s);
  const d = dark.matches;
  if (w > room) {
    let n = floor(s.length * room / w);
    while (n > 1 && widthOf(s.slice(0, n) + '\u2026') > room) n--;
    if (n < 2) return;
    s = s.slice(0, n) + '\u2026';
  }
  g.fillStyle = f.kind === IDLE && !matched ? (d ? '#a8a298' : '#6b665f') : d ? '#f4f0e9' : '#1d1b18';
  g.fillText(s, x, y);
  if (f.short && w + 16 + widthOf(f.short) < room) {
    g.fillStyle = d ? '#fff9' : '#0008';
    g.fillText(f.short, x + w + 10, y);
  }
}

function rowOf(n) {
  let depth = -1, at = n;
  for (; at > 0; at = drawn.parent[at]) depth++;
  return drawn.upwards && n >= drawn.upwards ? drawn.base - depth : drawn.base + depth;
}

function outline(n, top, k, ink) {
  const left = max((drawn.x[n] - S.x0) * k, 0), right = min((end(n) - S.x0) * k, W);
  g.strokeStyle = ink;
  if (right >= left) g.strokeRect(left + 1, RULER + rowOf(n) * ROW - top + 1, max(right - left - 3, 1), ROW - 3);
}

function ruler(k) {
  const span = S.x1 - S.x0, rough = span / max(W / 110, 1), ten = 10 ** floor(Math.log10(rough));
  const step = ten * [1, 2, 5, 10].find(m => ten * m >= rough);
  g.fillStyle = dark.matches ? '#a39d93' : '#615c55';
  for (let at = ceil(S.x0 / step) * step; at <= S.x1 && step; at += step) {
    const x = (at - S.x0) * k, s = time(at);
    g.fillRect(min(x, W - 1), RULER - 6, 1, 4);
    if (x + 3 + widthOf(s) < W) g.fillText(s, x + 3, RULER / 2 - 2);
  }
}

const redraw = () => asked || (asked = requestAnimationFrame(draw));

function resize() {
  const scale = devicePixelRatio, height = RULER + drawn.rows.length * ROW + 8;
  $('spacer').style.height = height + 'px';
  W = max(stage.clientWidth - 2 * PAD, 50), H = max(stage.clientHeight, 60);
  canvas.width = round((W + 2 * PAD) * scale), canvas.height = round(H * scale);
  canvas.style.width = W + 2 * PAD + 'px', canvas.style.height = H + 'px';
  draw();
}

// ---- moving
function zoomTo(x0, x1, keep = true) {
  const all = drawn.width || 1, least = max(all / 1e7, 1), from = [S.x0, S.x1];
  if (x1 - x0 < least) x0 = (x0 + x1 - least) / 2, x1 = x0 + least;
  x0 = max(0, min(x0, all - (x1 - x0))), x1 = min(all, x1);
  if (keep && (x0 !== S.x0 || x1 !== S.x1)) S.history.push(from);
  const begun = performance.now(), of = drawn, to = S.to = [x0, x1], ms = keep && !still.matches ? 140 : 0;
  const step = now => {
    if (drawn !== of || S.to !== to) return;
    const part = ms ? min(1, max(0, now - begun) / ms) : 1, ease = 1 - (1 - part) ** 3;
    S.x0 = from[0] + (x0 - from[0]) * ease, S.x1 = from[1] + (x1 - from[1]) * ease;
    draw();
    if (part < 1) requestAnimationFrame(step);
  };
  step(begun);
  $('back').disabled = !S.history.length && S.f < 0;
}

const end = n => drawn.x[n] + drawn.total[n], zoomOn = n => n && zoomTo(drawn.x[n], end(n));

function back(all) {
  if (S.history.length) {
    const to = all ? S.history[0] : S.history.pop();
    if (all) S.history = [];
    zoomTo(...to, false);
  } else if (S.f >= 0) S.f = -1, show();
}

function at(x, y) {
  const row = drawn.rows[floor((y + stage.scrollTop - RULER) / ROW)], v = S.x0 + (x - PAD) / W * (S.x1 - S.x0);
  const n = row && y > RULER && v >= 0 ? row[beyond(row, v, 0)] : 0;
  return n && drawn.x[n] <= v ? n : 0;
}

function focusOn(n, quietly) {
  if (!n) return;
  S.focus = n;
  const y = RULER + rowOf(n) * ROW, {x, total} = drawn;
  if (y - RULER < stage.scrollTop) stage.scrollTop = y - RULER;
  if (y + ROW > stage.scrollTop + H) stage.scrollTop = y + ROW - H + 4;
  const middle = x[n] + total[n] / 2, half = (S.x1 - S.x0) / 2;
  if (x[n] >= S.x1 || end(n) <= S.x0) zoomTo(middle - half, middle + half);
  describe(quietly);
  redraw();
}

// By an arrow: to the frame above, below, before or behind
function step(dx, dy) {
  const n = S.focus, row = drawn.rows[n ? rowOf(n) + dy : drawn.base] || [];
  focusOn(dx && n ? row[row.indexOf(n) + dx] : row[min(beyond(row, max(S.x0, drawn.x[n]), 0), row.length - 1)]);
}

// ---- words about a frame
function describe(quietly) {
  const n = S.focus || S.hover, has = n > 0;
  $('sandwich').disabled = $('copy').disabled = !has;
  for (const id of ['name', 'place', 'costs']) write(id, '');
  if (!has) return write('place', 'Click to zoom; for all keys type ?');
  const f = F[drawn.fn[n]], [text, spoken] = told(n);
  write('name', f.name), write('place', f.place), write('costs', text);
  if (!quietly) write('said', `${f.name}, ${spoken}${f.short ? ', ' + f.short : ''}`);
}

function make(tag, text = '', name = '') {
  const e = document.createElement(tag);
  e.textContent = text, e.className = name;
  return e;
}

function rowWith(tag, cells) {
  const tr = make('tr');
  for (const [text, name] of cells) tr.append(make(tag, text, name));
  return tr;
}

const numbers = ([first, ...rest]) => [[first], ...rest.map(text => [text, 'n'])];

function tip(e) {
  const t = $('tip'), n = S.hover;
  t.hidden = !n;
  if (!n) return;
  const f = F[drawn.fn[n]], [head, rows, more] = facts(n), table = make('table');
  table.append(rowWith('th', numbers(head)), ...rows.map(row => rowWith('td', numbers(row))));
  t.replaceChildren(make('b', f.name), make('span', f.place, 'soft'), table, make('span', more, 'soft'));
  const box = t.getBoundingClientRect(), x = e.clientX + 14, y = e.clientY + 18;
  t.style.transform = `translate(${max(8, min(x, innerWidth - box.width - 8))}px, ${y + box.height > innerHeight - 8 ? max(8, e.clientY - box.height - 10) : y}px)`;
}

// ---- tables
function rowOfFunction(f) {
  const name = make('button', F[f].label), tr = rowWith('td', [...cells(f), ['']]);
  tr.lastChild.append(name, make('span', '  ' + F[f].short, 'soft'));
  tr.onclick = () => (visit(f), focusOn(1), canvas.focus());
  return tr;
}

function table(most) {
  const t = make('table'), tr = rowWith('th', [...COLUMNS.map(c => [c[1], 'n']), ['Function']]);
  for (const [i, [key, text, span]] of COLUMNS.entries()) {
    const th = tr.children[i], b = make('button', text + (S.sort === key ? ' \u25be' : ''));
    th.colSpan = span;
    if (!key) continue;
    th.ariaSort = S.sort === key ? 'descending' : 'none', b.onclick = () => (S.sort = key, tables());
    th.replaceChildren(b);
  }
  t.append(make('thead'), make('tbody'));
  t.firstChild.append(tr);
  t.lastChild.append(...[...F.keys()].filter(f => isThere(f) && (!S.matched || S.matched[f])).sort(before()).slice(0, most).map(rowOfFunction));
  return t;
}

function tables() {
  const listed = S.view === 'functions' && S.f < 0;
  $('list').hidden = !listed, stage.hidden = listed;
  if (listed) $('list').replaceChildren(table(1000));
  canvas.replaceChildren(table(40)); // for those who cannot see the drawn
}

// ---- search
function search() {
  const q = $('search').value, re = /^\/(.+)\/([imsu]*)$/.exec(q), out = $('found');
  let test = s => s.toLowerCase().includes(q.toLowerCase());
  out.className = '';
  S.matched = null;
  if (q && re) try {
    const r = new RegExp(re[1], re[2]);
    test = s => r.test(s);
  } catch (e) {
    out.textContent = 'no regular expression', out.className = 'warn';
    return;
  }
  out.textContent = '';
  if (!q || q === '/') return;
  S.matched = F.map(f => test(f.label) || test(f.name) || test(f.place));
  const within = new Uint8Array(tree.n);
  let sum = 0;
  for (let i = 1; i < tree.n; i++) if (within[i] = within[tree.parent[i]] || S.matched[tree.fn[i]]) sum += tree.self[i];
  const n = S.matched.reduce((a, m, f) => a + (m && costs.total[f] > 0), 0);
  out.textContent = n ? `${share(sum, tree.total[0])} in ${count(n, 'function')}` : 'not found';
}

function nextMatch(by) {
  if (!S.matched) return;
  const all = drawn.rows.flatMap(row => row.filter(n => S.matched[drawn.fn[n]])), i = all.indexOf(S.focus);
  focusOn(all.at(i < 0 && by < 0 ? -1 : (i + by) % all.length));
}

// ---- controls
function choices(id, all, is, pick) {
  const box = $(id);
  if (box.childElementCount !== all.length) box.replaceChildren(...all.map(() => make('button')));
  all.forEach(([key, text, disabled], i) => {
    const b = box.children[i];
    b.textContent = text, b.disabled = disabled, b.ariaPressed = key === is, b.onclick = () => pick(key);
  });
  box.hidden = all.length < 2;
}

function controls() {
  choices('sets', sets.map((s, i) => [i, s.label]), S.set, switchTo);
  choices('views', VIEWS, S.f >= 0 ? '' : S.view, view);
  $('back').disabled = S.f < 0;
  tables();
}

function sandwich() {
  const n = S.focus || S.hover;
  if (n) S.f = drawn.fn[n], show(), focusOn(1);
}

function copy() {
  const f = F[drawn.fn[S.focus || S.hover]], text = f && (f.place || f.name);
  if (!text) return;
  navigator.clipboard.writeText(text).then(() => (write('said', 'copied ' + text), write('copy', 'Copied'), setTimeout(write, 1200, 'copy', 'Copy place')));
}

const keys = () => [
  ['\u2190 \u2191 \u2192 \u2193', 'to the next frame'], ['Enter, click', 'zoom to the frame'], ['Backspace', 'one step back'], ['Esc', 'all of it'],
  ['+ \u2212', 'zoom'], ['/', 'search'], ['n N', 'next match, the one before'], ['s, double click', 'callers and callees of the function'], ['c', 'copy file:line'],
  ...MORE_KEYS, ['?', 'this'],
];

const scaled = (by, x = (S.x0 + S.x1) / 2, keep = true) => zoomTo(x - (x - S.x0) * by, x + (S.x1 - x) * by, keep);

const DO = {
  ArrowLeft: () => step(-1, 0), ArrowRight: () => step(1, 0), ArrowUp: () => step(0, -1), ArrowDown: () => step(0, 1), Enter: () => zoomOn(S.focus),
  Backspace: () => back(), Escape: () => ($('notes').open = false, back(true)), '+': () => scaled(.5), '=': () => scaled(.5), '-': () => scaled(2), '/': () => $('search').select(),
  n: () => nextMatch(1), N: () => nextMatch(-1), s: sandwich, c: copy, l: () => view('heavy'), i: () => view('callers'), f: () => view('functions'),
  w: () => sets.length > 1 && $('sets').children[1 - S.set].click(), '?': () => $('help').showModal(),
};

// What is typed into a field, or pressed on a button, is theirs.
onkeydown = e => {
  const field = e.target.matches('input, select'), pressed = e.target.matches('button, summary') && (e.key === 'Enter' || e.key === ' ');
  if ($('help').open || e.altKey || pressed) return;
  if ((e.ctrlKey || e.metaKey) && e.key === 'f' && !field) return e.preventDefault(), $('search').select();
  if (e.ctrlKey || e.metaKey) return;
  if (field && (e.key === 'Escape' || e.key === 'Enter') && e.target.id === 'search') {
    if (e.key === 'Escape') e.target.value = '', found();
    canvas.focus();
    if (e.key === 'Enter') nextMatch(1);
  } else if (!field && DO[e.key]) DO[e.key]();
  else return;
  e.preventDefault();
};

function found() {
  search(), tables(), redraw();
}

let drag = null;
canvas.onpointermove = e => {
  if (drag && (drag.moved || hypot(e.clientX - drag.x, e.clientY - drag.y) > 4)) {
    if (!drag.moved) drag.moved = true, canvas.setPointerCapture(e.pointerId);
    const by = (drag.x - e.clientX) / W * (drag.x1 - drag.x0);
    stage.scrollTop = drag.top + drag.y - e.clientY;
    zoomTo(drag.x0 + by, drag.x1 + by, false);
  }
  const n = drag && drag.moved ? 0 : at(e.offsetX, e.offsetY);
  if (n !== S.hover) S.hover = n, redraw(), S.focus || describe(true);
  canvas.style.cursor = n ? 'pointer' : 'default';
  tip(e);
};
canvas.onpointerdown = e => e.button || (drag = {x: e.clientX, y: e.clientY, x0: S.x0, x1: S.x1, top: stage.scrollTop});
canvas.onpointerleave = e => (S.hover = 0, tip(e), redraw(), S.focus || describe(true));
onpointerup = () => setTimeout(() => drag = null);
canvas.onclick = e => {
  if (drag && drag.moved) return;
  const n = at(e.offsetX, e.offsetY);
  if (n) focusOn(n), zoomOn(n);
};
canvas.ondblclick = sandwich;
canvas.onwheel = e => {
  const scrolls = stage.scrollHeight > stage.clientHeight + 1 && !e.ctrlKey && !e.metaKey, w = S.x1 - S.x0;
  if (abs(e.deltaX) > abs(e.deltaY)) e.preventDefault(), zoomTo(S.x0 + e.deltaX / W * w, S.x1 + e.deltaX / W * w, false);
  else if (!scrolls) e.preventDefault(), scaled(exp(max(-60, min(60, e.deltaY)) / 150), S.x0 + (e.offsetX - PAD) / W * w, false);
};

$('search').oninput = found;
$('back').onclick = () => back();
$('sandwich').onclick = sandwich;
$('copy').onclick = copy;
$('ask').onclick = DO['?'];
stage.onscroll = redraw;
dark.onchange = redraw;
new ResizeObserver(resize).observe(stage);

// ---- the header
function notes() {
  const {losses = {}, bounded: {folded_ns} = {}} = meta, bad = [], lost = {...losses.unwalkable, ...losses};
  if (meta.complete === false) bad.push('It does not reach to the end of the program.');
  for (const k in lost) if (lost[k] > 0) bad.push(`${count(lost[k], 'loss', 'losses')}: ${k.replace(/_/g, ' ')}`);
  if (meta.prompt < .9) bad.push(`${share(meta.prompt, 1)} of the CPU was seen promptly: small differences mean little.`);
  if (folded_ns) bad.push(`${time(folded_ns)} (${share(folded_ns, meta.cpu.used)}) in stacks too light to be shown alone stand in (others).`);
  return bad;
}

// The title, what stands below it (pairs of strong and plain text), what is to be known, and the sections that tell more
function begin(title, about, bad, sections) {
  about.forEach(([strong, text], i) => $('facts').append(i ? '  \u00b7  ' : '', make('b', strong), text));
  document.title = title + ' \u2013 spprof', write('title', title);
  $('notes').className = bad.length ? 'warn' : '', write('gist', bad.length ? count(bad.length, 'note') : 'About');
  for (const [name, list, kind] of [['To be known', bad, 'warn'], ...sections]) list.length && $('about').append(make('h2', name), ...list.map(s => make('p', s, kind)));
  for (const [k, what] of keys()) $('keys').append(make('dt', k), make('dd', what));
  choose();
}
