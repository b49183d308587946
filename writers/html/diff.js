// ---- of two profiles: frames as wide as in one of them, their colour by what became of their share
const sides = data.compared.of, whole = sides.map(s => s.whole), samples = sides.map(s => s.samples);

// Equal functions are one, whatever their line, as the command's table has it; a process has another pid each time
const bare = name => name.replace(/ \[\d+\]$/, ''), keyOfFunction = f => f.kind === NATIVE ? f.name : [bare(f.name), f.place && f.short.replace(/:\d+$/, '')].join('\n');
const same = new Map(F.map((f, i) => [keyOfFunction(f), i])), one = F.map(f => same.get(keyOfFunction(f)));
for (const f of F) if (!f.place) f.name = bare(f.name), f.label = bare(f.label);

// B's, then A's; nodes that are equal now are one
const sets = (({nodes, profiles}) => {
  const parent = [0], fn = [0], to = [0], there = new Map();
  for (let i = 0; i < nodes.length; i += 2) {
    const up = to[to.length - nodes[i]], f = one[nodes[i + 1]], key = up * F.length + f;
    if (!there.has(key)) there.set(key, parent.length), parent.push(up), fn.push(f);
    to.push(there.get(key));
  }
  return ['B', 'A'].map(side => {
    const own = profiles.filter(p => p.name[0] === side).map(p => ({...p, entries: p.entries.map((v, i) => i % 2 ? v : to[v])}));
    return {label: 'As wide as in ' + side, n: parent.length, parent, fn, profiles: own};
  });
})(data.sets[0]);
const trees = sets.map(s => treeOf(s, s.profiles)), sums = trees.map(costsOf), chosen = () => set().profiles;

// What a and b nanoseconds are of all, the difference, and what chance makes of so few samples (inject/command/diff.c)
function change(a, b) {
  const of = [a / whole[0], b / whole[1]], by = of[1] - of[0], noise = 3 * Math.sqrt(of.reduce((sum, p, i) => {
    const n = max(samples[i], 1), q = max(1 / n, min(1 - 1 / n, p));
    return sum + q * (1 - q) / n;
  }, 0) || 3);
  return {a, b, of, by, noise, is: abs(by) > noise};
}

// Of each frame of a picture the one on the same path in the other's; 0: there is none
function paired(d, other) {
  const at = new Map(), to = new Int32Array(d.n), key = (t, i, up) => (up * F.length + t.fn[i]) * 2 + (i >= t.upwards);
  for (let i = 1; i < other.n; i++) if (other.total[i]) at.set(key(other, i, other.parent[i]), i);
  for (let i = 1; i < d.n; i++) to[i] = (!d.parent[i] || to[d.parent[i]]) && at.get(key(d, i, to[d.parent[i]])) || 0;
  return to;
}

const LEVELS = 9;

function picture(t) {
  const d = pictureOf(t), other = pictureOf(trees[1 - S.set]), to = paired(d, other), ab = (mine, its) => S.set ? change(mine, its) : change(its, mine);
  d.changes = [...to.keys()].map(i => i ? ab(d.total[i], to[i] && other.total[to[i]]) : change(0, 0));
  d.own = i => ab(d.self[i], to[i] && other.self[to[i]]);
  const most = d.changes.reduce((m, c) => c.is ? max(m, abs(c.by)) : m, 0);
  d.levels = d.changes.map(c => c.is ? Math.sign(c.by) * ceil(LEVELS * Math.sqrt(abs(c.by) / most)) : 0);
  return d;
}

// ---- how it looks, and what is told
const keyOf = (n, f) => drawn.levels[n] + stateOf(f);

function colour(key, state) {
  const level = parseInt(key), k = abs(level) / LEVELS, d = dark.matches, faint = state === 'faint' ? .2 : 1, lift = state === 'same' ? (d ? .07 : -.06) : 0;
  return `oklch(${(d ? .32 + .17 * k * faint : .91 - .21 * k * faint) + lift} ${(k ? .05 + .12 * k : 0) * faint} ${level < 0 ? 255 : 27})`;
}

const points = v => (v < 0 ? '\u2212' : '+') + (100 * abs(v)).toFixed(1), noiseOf = c => (100 * c.noise).toFixed(1) + (c.is ? '' : ' ~');
const inWords = c => `A ${share(c.of[0], 1)}, B ${share(c.of[1], 1)}, ${points(c.by)}${c.is ? '' : ', chance'}`;
const ofFunction = (f, which) => change(sums[1][which][f], sums[0][which][f]);

function told(n) {
  const c = drawn.changes[n], f = drawn.fn[n];
  return [`here ${inWords(c)} (noise ${(100 * c.noise).toFixed(1)})\nin all ${inWords(ofFunction(f, 'total'))}`, inWords(c)];
}

function facts(n) {
  const f = drawn.fn[n], row = (what, c) => [what, share(c.of[0], 1), time(c.a), share(c.of[1], 1), time(c.b), points(c.by), noiseOf(c)];
  return [['', 'A', '', 'B', '', 'change', 'noise'], [row('here', drawn.changes[n]), row('itself', drawn.own(n)), row('in all', ofFunction(f, 'total')), row('itself', ofFunction(f, 'self'))],
    drawn.changes[n].is ? '' : '~ no more than chance makes of so few samples'];
}

const COLUMNS = [[null, 'Self A', 1], [null, 'Self B', 1], ['self', 'Change', 1], [null, 'Noise', 1], ['total', 'Of total', 1]];
const isThere = f => sums[0].total[f] || sums[1].total[f];
function visit(f) { // as wide as in the one that has it
  S.set = sums[S.set].total[f] ? S.set : 1 - S.set, S.f = f, choose();
}

function cells(f) {
  const c = ofFunction(f, 'self'), t = ofFunction(f, 'total');
  return [[share(c.of[0], 1), 'n'], [share(c.of[1], 1), 'n'], [points(c.by), 'n'], [noiseOf(c), 'n soft'], [points(t.by) + (t.is ? '' : ' ~'), 'n']];
}

// What rose beyond noise, then what fell, then the rest; the largest first
function before() {
  const rank = c => c.is ? c.by > 0 ? 0 : 1 : 2, all = F.map((f, i) => ofFunction(i, S.sort));
  return (a, b) => rank(all[a]) - rank(all[b]) || abs(all[b].by) - abs(all[a].by);
}

// ---- controls
const VIEWS = [['heavy', 'Left heavy'], ['callers', 'Callers'], ['functions', 'Functions']];
const MORE_KEYS = [['l i f', 'left heavy, callers, functions'], ['w', 'as wide as in A, in B']];

function switchTo(i) {
  S.set = i, choose();
}

function view(k) {
  S.view = k, S.f = -1, choose();
}

// ---- the header
function header() {
  const {per} = data.compared, title = sides.map(s => said(s.name)).join(' \u2192 ');
  $('threads').hidden = true;
  begin(title, [...sides.map((s, i) => ['AB'[i], ` ${time(s.used)} of CPU, ${s.samples.toLocaleString('en')} samples`]), ['red', ' more in B'], ['blue', ' less'], ['grey', ' chance']],
    notes(), [['The two', sides.map((s, i) => `${'AB'[i]}: ${said(s.name)}, ${count(s.files, 'process', 'processes')}, Python ${said(s.python)}`)],
      ['100\u202f% is', [per ? 'what ' + said(per) + ' used' : 'all CPU']]]);
  const ink = () => [...document.querySelectorAll('#facts b')].slice(2, 4).forEach((b, i) => b.style.color = `oklch(${dark.matches ? .72 : .5} .16 ${i ? 255 : 27})`);
  ink(), dark.addEventListener('change', ink);
}

header();
