// SPDX-License-Identifier: MIT
// Chromium without a window, over the pipe of its DevTools protocol: messages are JSON, a NUL ends each.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const FLAGS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-breakpad', '--disable-sync', '--disable-dev-shm-usage', '--remote-debugging-pipe'];

export async function start(chromium) {
  const home = mkdtempSync(join(tmpdir(), 'spprof-chromium-'));
  const child = spawn(chromium, [...FLAGS, `--user-data-dir=${home}`, 'about:blank'], { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] });
  const waiting = new Map(), listeners = [];
  let number = 0, rest = Buffer.alloc(0);
  child.stdio[4].on('data', some => {
    rest = Buffer.concat([rest, some]);
    for (let end; (end = rest.indexOf(0)) >= 0; rest = rest.subarray(end + 1)) {
      const m = JSON.parse(rest.subarray(0, end).toString());
      if (m.id) {
        const { done, failed } = waiting.get(m.id);
        waiting.delete(m.id);
        m.error ? failed(new Error(JSON.stringify(m.error))) : done(m.result);
      } else for (const l of listeners) l(m);
    }
  });
  const gone = e => { for (const { failed } of waiting.values()) failed(e instanceof Error ? e : new Error('Chromium has ended')); };
  child.on('exit', gone), child.on('error', gone), child.stdio[3].on('error', gone);
  const late = setTimeout(() => child.kill('SIGKILL'), 60000);
  const send = (method, params = {}, sessionId) => new Promise((done, failed) => {
    waiting.set(++number, { done, failed });
    child.stdio[3].write(JSON.stringify({ id: number, method, params, sessionId }) + '\0');
  });
  const { targetInfos } = await send('Target.getTargets');
  const { sessionId } = await send('Target.attachToTarget', { targetId: targetInfos.find(t => t.type === 'page').targetId, flatten: true });
  clearTimeout(late);
  const page = (method, params) => send(method, params, sessionId);
  const evaluate = async expression => {
    const r = await page('Runtime.evaluate', { expression, returnByValue: true, awaitPromise: true });
    if (r.exceptionDetails) throw new Error(expression + ': ' + (r.exceptionDetails.exception?.description ?? r.exceptionDetails.text));
    return r.result.value;
  };
  const close = async () => {
    const ended = new Promise(done => child.on('exit', done));
    await send('Browser.close').catch(() => child.kill());
    await ended;
    rmSync(home, { recursive: true, force: true, maxRetries: 5 });
  };
  const grant = (...permissions) => send('Browser.grantPermissions', { permissions });
  return { page, evaluate, grant, on: l => listeners.push(l), close };
}
