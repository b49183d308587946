// ---- of one profile: by thread and process, CPU or whole lives, in time as well
const sets = data.sets.map(s => {
  const n = s.nodes.length / 2 + 1, parent = new Int32Array(n), fn = new Int32Array(n);
  for (let i = 1; i < n; i++) parent[i] = i - s.nodes[2 * i - 2], fn[i] = s.nodes[2 * i - 1];
  const profiles = s.profiles.map(p => ({...p, name: clean(p.name), sum: p.entries.reduce((a, v, i) => i % 2 ? a + v : a, 0)}));
  return {wall: s.wall, label: s.wall ? 'Wall' : 'CPU', n, parent, fn, profiles, sum: profiles.reduce((a, p) => a + p.sum, 0), roots: meta.pid ? [] : [...fn.keys()].filter(i => i && !parent[i] && / \[\d+\]$/.test(F[fn[i]].name))};
});
const lines = new Map(meta.lines || []);

const isUnordered = meta.bounded && meta.bounded.window_ms * 1e6 > meta.wall_ns;
const VIEWS = [['heavy', 'Left heavy'], ['time', 'In time', isUnordered], ['callers', 'Callers'], ['functions', 'Functions']];
const chosen = () => S.of[0] === 't' ? [set().profiles[+S.of.slice(1)]] : set().profiles;
const hasOrder = () => S.of[0] === 't' && chosen()[0].thread && !isUnordered;

function timed(set, profile) {
  const t = grown(), x = [0], rows = [], open = [], nodes = [], e = profile.entries, path = [];
  let now = 0;
  for (let i = 0; i < e.length; i += 2) {
    let same = 0, at = 0;
    path.length = 0;
    for (let n = e[i]; n; n = set.parent[n]) path.push(n);
    for (path.reverse(); same < path.length && nodes[same] === path[same];) same++;
    nodes.length = open.length = same;
    for (let d = same; d < path.length; d++) {
      open.push(at = add(t, d ? open[d - 1] : 0, set.fn[path[d]], 0)), nodes.push(path[d]);
      x.push(now), (rows[d] || (rows[d] = [])).push(at);
    }
    for (const n of open) t.total[n] += e[i + 1];
    if (open.length) t.self[open[open.length - 1]] += e[i + 1];
    now += e[i + 1];
  }
  t.total[0] = now;
  return {...t, n: t.fn.length, x, rows, base: 0, width: now};
}

function picture(t) {
  if (S.view === 'time' && !hasOrder()) S.view = 'heavy';
  return S.f < 0 && S.view === 'time' ? timed(set(), chosen()[0]) : pictureOf(t);
}

// ---- how it looks, and what is told
const keyOf = (n, f) => f;

function colour(f, state) {
  const {kind, hue} = F[f], d = dark.matches, lift = state === 'same' ? (d ? .07 : -.06) : 0;
  if (state === 'match') return d ? 'oklch(.5 .17 340)' : 'oklch(.82 .14 335)';
  const chroma = (kind === IDLE ? 0 : kind === PSEUDO ? .012 : d ? .07 : .085) * (state === 'faint' ? .25 : 1);
  return `oklch(${(d ? (kind === IDLE ? .31 : .42) : kind === IDLE ? .93 : .87) + lift} ${chroma} ${kind === PSEUDO ? 70 : hue.toFixed(0)})`;
}


// Of a frame here and of its function: the row above numbers, the rows, what else is known
function facts(n) {
  const f = drawn.fn[n], row = (what, ...of) => [what, ...of.flatMap(ns => [time(ns), share(ns, tree.total[0])])];
  const hot = set().wall ? [] : [...lines.get(f) || []].sort((a, b) => b[2] - a[2]).slice(0, 3);
  return [['', 'total', '', 'self'], [row('here', drawn.total[n], drawn.self[n]), row('in all', costs.total[f], costs.self[f])],
    hot.length > 1 ? 'hottest lines: ' + hot.map(l => `${l[0]} (${time(l[2])})`).join(', ') : ''];
}

function told(n) {
  const [[, ns, part, own, ownPart], [, all, allPart, self, selfPart]] = facts(n)[1];
  return [`here ${ns}, ${part} (self ${own})\nin all ${all}, ${allPart} (self ${self}, ${selfPart})`, `${part}, ${ns}, self ${ownPart}`];
}

const COLUMNS = [['self', 'Self', 2], ['total', 'Total', 2]];
const cells = f => [costs.self[f], costs.total[f]].flatMap(ns => [[time(ns), 'n'], [share(ns, tree.total[0]), 'n soft']]);
const isThere = f => costs.total[f], visit = f => (S.f = f, show());
const before = () => (a, b) => costs[S.sort][b] - costs[S.sort][a];

// Whose a thread is, where there are several processes
function ownerOf(p) {
  const {roots, parent, fn} = set();
  let n = p.entries[0];
  while (parent[n]) n = parent[n];
  return roots.includes(n) ? ', ' + F[fn[n]].name : '';
}

function listThreads() {
  const s = set(), box = $('threads'), list = [['', 'All threads  ' + time(s.sum)], ...s.roots.map(n => ['p' + n, F[s.fn[n]].name]), ...s.profiles.map((p, i) => ['t' + i, `${p.name}${ownerOf(p)}  ${time(p.sum)}, ${share(p.sum, s.sum)}`])];
  box.replaceChildren(...list.map(([v, text]) => new Option(text, v)));
  if (s.profiles.length === 1) S.of = 't0';
  box.value = S.of;
  if (!box.value) box.value = S.of = '';
  box.hidden = s.profiles.length === 1;
}

function switchTo(i) {
  const was = S.of[0] === 't' && chosen()[0];
  S.set = i, S.f = -1, S.of = 't' + set().profiles.findIndex(p => p.name === was.name && p.thread === was.thread);
  listThreads(), choose();
}

function view(k) {
  if (k === 'time' && !hasOrder()) S.of = 't' + set().profiles.findIndex(p => p.thread);
  S.view = k, S.f = -1;
  listThreads(), choose();
}

function thread(by) {
  const box = $('threads'), n = box.options.length;
  if (box.hidden) return;
  box.selectedIndex = (box.selectedIndex + by + n) % n;
  S.of = box.value, choose();
}

const MORE_KEYS = [['l t i f', 'left heavy, in time, callers, functions'], ['w', 'CPU or wall'], ['[ ]', 'thread before, next']];
Object.assign(DO, {t: () => view('time'), '[': () => thread(-1), ']': () => thread(1)});
$('threads').onchange = e => (S.of = e.target.value, choose());

// ---- the header
const IN_PYTHON = ['used', 'python', 'before_start', 'writer']; // of `cpu`, beside what was in no Python stack

function header() {
  const {cpu = {}, samples = 0, bounded: {window_ms, time_order_until_ns} = {}} = meta, bad = notes(), good = [], python = 'Python ' + said(meta.python);
  if (window_ms) bad.push(isUnordered ? 'It has no order of time, to be small.' : `Its order of time is by windows of ${window_ms / 1000}\u202fs.`);
  if (time_order_until_ns) bad.push(`Its order of time ends at ${time(time_order_until_ns)}.`);
  for (const k in cpu) if (cpu[k] && !IN_PYTHON.includes(k)) good.push(`${time(cpu[k])}, ${share(cpu[k], cpu.used)}: ${k.replace(/_/g, ' ')}`);
  begin(clean(data.name.replace(/^[^ ]*\//, '')), [['', python], [time(cpu.used || 0), ` CPU in ${time(meta.wall_ns || 0)}`], [samples.toLocaleString('en'), ' samples'],
    ['', `every ${time(meta.effective_interval_ns || 0)} (asked ${time(meta.interval_ns || 0)})`]], bad, [['Not in Python stacks', good],
    ['This profile', ['Command: ' + (meta.argv || []).map(said).join(' '), `${python} (${said(meta.build)})`, `Host ${said(meta.host)}, pid ${meta.pid || 'several'}, started ${said(meta.started)}`,
      `Seen promptly: ${share(meta.prompt, 1)}`, `spprof ${said(meta.version)}, engine ${said(meta.engine)}`]]]);
}

listThreads();
header();
