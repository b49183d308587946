'use strict';

const $ = id => document.getElementById(id), {abs, ceil, exp, floor, hypot, max, min, round} = Math;
// What the writer left in the page (writers/html.c), and all that is made of it before it is drawn.
const data = JSON.parse($('profile').textContent), meta = data.spprof;

// ---- names: what a program chose is text, and what one does not see in it is made visible
const unseen = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;
const clean = s => s.replace(unseen, c => '\\u' + c.charCodeAt(0).toString(16).padStart(4, '0'));
const NATIVE = 1, PSEUDO = 2, IDLE = 3;

// outer::burn of _ZN5outer4burnE...: the name of a C++ or Rust function, without what it takes
function readable(name) {
  const m = /^_ZN[KVRO]*|^_ZL?(?=\d)/.exec(name), parts = [];
  let at = m ? m[0].length : 0;
  for (let n; m && (n = /^\d+/.exec(name.slice(at, at + 4))); at += n[0].length + Number(n[0]))
    parts.push(name.substr(at + n[0].length, Number(n[0])));
  if (parts.length > 1 && /^h[0-9a-f]{16}$/.test(parts[parts.length - 1])) parts.pop();
  return parts.length ? parts.join('::') + (/ \[.*\]$/.exec(name) || [''])[0] : name;
}

function shortPath(path) {
  const m = /.*\/(?:site-packages|dist-packages|lib(?:64)?\/python3[^/]*)\/(.+)$/.exec(path);
  return m ? m[1] : path.split('/').slice(-3).join('/');
}

// A number that is equal for what belongs together, as a hue wants it: 0 ... 1
function hash(s) {
  let h = 2166136261;
  for (let i = 0; i < s.length; i++) h = Math.imul(h ^ s.charCodeAt(i), 16777619);
  return ((h ^ h >>> 15) >>> 0) / 4294967296;
}

const F = data.functions.map(([name, file, line, kind]) => {
  name = clean(name), file = clean(file);
  const idle = /^\((waiting|not running)/.test(name), short = shortPath(file), at = line ? ':' + line : '';
  if (!kind && !file) kind = PSEUDO;
  const hue = kind === NATIVE ? 215 + 75 * hash(file || name) : 40 + 75 * hash(short.replace(/[^/]*$/, '') + file);
  const label = kind === NATIVE ? readable(name) : file && name.startsWith('<module> ') ? /[^/]*\/__\w+\.py$|[^/]*$/.exec(short)[0] + ' <module>' : name;
  return {label, name, place: file + at, short: kind === NATIVE ? '' : short + at, kind: idle ? IDLE : kind, hue};
});

// ---- numbers for people
function time(ns) {
  if (!ns) return '0';
  const [unit, by] = ns >= 1e9 ? ['s', 1e9] : ns >= 1e6 ? ['ms', 1e6] : ns >= 1e3 ? ['\u00b5s', 1e3] : ['ns', 1];
  const v = ns / by;
  return v.toFixed(by === 1 || v >= 99.95 ? 0 : v >= 9.995 ? 1 : 2) + '\u202f' + unit;
}
const share = (part, all) => {
  const p = all ? 100 * part / all : 0;
  return (p && p < 0.05 ? '<0.1' : p > 99.9 && part < all ? '>99.9' : p.toFixed(1)) + '\u202f%';
};
const said = v => clean(String(v ?? '?'));
const write = (id, text) => $(id).textContent = text;
const count = (n, one, many) => n.toLocaleString('en') + ' ' + (n === 1 ? one : many || one + 's');

// ---- trees: nodes by number, each behind its caller, 0 above all; `next` and `first` list callees
const grown = () => ({parent: [-1], fn: [-1], self: [0], total: [0]});
function add(t, parent, fn, total, self = 0) {
  t.parent.push(parent), t.fn.push(fn), t.self.push(self), t.total.push(total);
  return t.fn.length - 1;
}

// What of a set is chosen, with sums
function treeOf({n, parent, fn}, profiles, root) {
  const self = new Float64Array(n), within = new Uint8Array(n);
  for (const p of profiles) for (let i = 0; i < p.entries.length; i += 2) self[p.entries[i]] += p.entries[i + 1];
  for (let i = 1; root && i < n; i++) if (!(within[i] = i === root || within[parent[i]])) self[i] = 0;
  const total = self.slice();
  for (let i = n - 1; i > 0; i--) total[parent[i]] += total[i];
  return linked({parent, fn, self, total});
}

// The heaviest callee first
function linked(t) {
  const n = t.n = t.fn.length, first = t.first = new Int32Array(n), next = t.next = new Int32Array(n);
  for (const i of [...t.total.keys()].sort((a, b) => t.total[a] - t.total[b]))
    if (i && t.total[i]) next[i] = first[t.parent[i]], first[t.parent[i]] = i;
  return t;
}

// The callers of these nodes, or with `down` what they call: equal ones are one. Who calls what nobody can see is (others):
// there may be millions of them
function merged(t, nodes, weights, down) {
  const out = grown(), left = [[0, nodes.map((n, i) => [n, weights[i]])]];
  out.total[0] = weights.reduce((a, w) => a + w, 0);
  for (let k = 0; k < left.length; k++) {
    const groups = new Map();
    for (const [n, w] of left[k][1]) {
      const f = t.fn[n], g = groups.get(f) || groups.set(f, {w: 0, self: 0, on: []}).get(f), up = t.parent[n];
      g.w += w;
      if (down) {
        g.self += t.self[n];
        for (let c = t.first[n]; c; c = t.next[c]) g.on.push([c, t.total[c]]);
      } else if (up) g.on.push([up, w]);
      else g.self += w;
    }
    for (const [f, g] of groups) {
      const node = add(out, left[k][0], f, g.w, g.self);
      if (g.w * 2e4 < out.total[0] && !down) add(out, node, F.length - 1, g.w - g.self);
      else if (g.on.length) left.push([node, g.on]);
    }
    left[k] = null;
  }
  return linked(out);
}

// The nodes of a function that no other of it has called
function outermost(t, f) {
  const inside = new Uint8Array(t.n), found = [];
  for (let i = 1; i < t.n; i++) {
    const here = t.fn[i] === f;
    if (here && !inside[t.parent[i]] && t.total[i]) found.push(i);
    inside[i] = here || inside[t.parent[i]];
  }
  return found;
}

// ---- pictures: where each frame stands; rows hold them from left to right
function heavy(t) {
  const x = new Float64Array(t.n), rows = [];
  for (let row = [0], next = []; ; row = next, next = []) {
    for (const n of row)
      for (let c = t.first[n], at = x[n]; c; c = t.next[c]) x[c] = at, at += t.total[c], next.push(c);
    if (!next.length) break;
    rows.push(next);
  }
  return {...t, x, rows, base: 0, width: t.total[0]};
}

// Callers of a function upwards, callees below it
function sandwiched(t, f) {
  const nodes = outermost(t, f), weights = nodes.map(n => t.total[n]), up = heavy(merged(t, nodes, weights)), down = heavy(merged(t, nodes, weights, true));
  const by = down.n - 1, join = (k, as = v => v) => [...down[k], ...[...up[k]].slice(1).map(as)];
  const callers = up.rows.slice(1).map(row => row.map(n => n + by)).reverse();
  return {n: down.n + by, parent: join('parent', n => n > 1 ? n + by : n), fn: join('fn'), self: join('self'), total: join('total'),
    x: join('x'), rows: [...callers, ...down.rows], base: callers.length, width: down.total[0], upwards: down.n};
}
