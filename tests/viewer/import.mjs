// SPDX-License-Identifier: MIT
// Opens files in the real Speedscope (its browser bundle under jsdom, drawing stubbed) and prints one JSON line a
// file: {file, ok, message, title, profiles: [[number, name, total]], top: rows as text}: the profile selector and the
// Sandwich table as a user sees them. usage: node import.mjs FILE...
import fs from "node:fs";
import path from "node:path";
import { JSDOM, VirtualConsole } from "jsdom";

const here = path.dirname(new URL(import.meta.url).pathname);
const release = path.join(here, "node_modules/speedscope/dist/release");
const bundle = fs.readFileSync(path.join(release, fs.readdirSync(release).find((f) => /^speedscope-.*\.js$/.test(f))), "utf8");

const sleep = (ms) => new Promise((r) => setTimeout(r, ms));

// A WebGL context that accepts everything and draws nothing.
function fakeContext() {
  const numbers = new Proxy({}, { get: (_, k) => String(k).length });
  return new Proxy(function () {}, {
    get(_, key) {
      if (key === "getParameter") return () => 16384;
      if (key === "getShaderParameter" || key === "getProgramParameter") return () => 1;
      if (key === "getExtension") return () => numbers;
      if (key === "getContextAttributes") return () => ({});
      if (key === "checkFramebufferStatus") return () => 0x8cd5;
      if (key === "isContextLost") return () => false;
      if (key === "measureText") return (t) => ({ width: t.length * 6 });
      if (key === "canvas") return { width: 800, height: 600, style: {}, getBoundingClientRect: () => ({ left: 0, top: 0, width: 800, height: 600 }) };
      if (typeof key === "string" && /^[A-Z0-9_]+$/.test(key)) return key.length;
      return () => ({});
    },
    set: () => true,
  });
}

async function open(file) {
  const result = { file, ok: false, message: "", profiles: [], top: [] };
  const errors = (uncaught = []);
  const virtualConsole = new VirtualConsole();
  virtualConsole.on("jsdomError", (e) => errors.push(String(e.detail?.message ?? e.message)));
  virtualConsole.on("error", (...a) => errors.push(a.map(String).join(" ")));
  const dom = new JSDOM("<!DOCTYPE html><html><body></body></html>", {
    url: "http://localhost/#localProfilePath=none.js",
    runScripts: "outside-only",
    pretendToBeVisual: true,
    virtualConsole,
  });
  const { window } = dom;
  window.HTMLCanvasElement.prototype.getContext = fakeContext;
  window.Element.prototype.scrollIntoView = () => {};
  const box = { x: 0, y: 0, left: 0, top: 0, right: 800, bottom: 600, width: 800, height: 600 };
  window.Element.prototype.getBoundingClientRect = () => box;
  window.alert = (m) => errors.push(String(m));
  window.matchMedia = () => ({ matches: false, addListener() {}, removeListener() {}, addEventListener() {} });
  window.TextDecoder = TextDecoder;
  window.TextEncoder = TextEncoder;
  window.fetch = () => Promise.reject(new Error("no network"));
  window.eval(bundle);
  for (let i = 0; i < 100 && !window.speedscope?.loadFileFromBase64; i++) await sleep(20);
  window.speedscope.loadFileFromBase64(path.basename(file), fs.readFileSync(file).toString("base64"));
  const text = (e) => (e ? e.textContent.trim() : "");
  for (let i = 0; i < 1500; i++) {
    await sleep(20);
    if (window.document.title !== "speedscope" && window.document.title !== "") result.ok = true;
    if (result.ok || errors.length) break;
  }
  result.title = window.document.title;
  if (result.ok) {
    await sleep(50);
    const rows = (table) => [...table.querySelectorAll("tr")].map((r) => [...r.querySelectorAll("td")].map(text)).filter((r) => r.length);
    const tables = () => [...window.document.querySelectorAll("table")];
    const selector = tables().find((t) => /Total Weight/.test(text(t)));
    if (selector) result.profiles = rows(selector);
    const tab = [...window.document.querySelectorAll("div")].filter((d) => text(d) === "🥪Sandwich").pop();
    tab?.click();
    const filled = () => tables().find((t) => t !== selector && !/Total Weight/.test(text(t)) && rows(t).length);
    for (let i = 0; i < 40 && !filled(); i++) await sleep(20);
    if (filled()) result.top = rows(filled()).slice(0, 5);
  }
  // Drawing is stubbed: what fails there says nothing about the file.
  result.message = result.ok ? "" : errors.join("; ").slice(0, 400);
  dom.window.close();
  return result;
}

let uncaught = [];
process.on("uncaughtException", (e) => uncaught.push(String(e?.message ?? e)));
process.on("unhandledRejection", (e) => uncaught.push(String(e?.message ?? e)));

let bad = 0;
for (const file of process.argv.slice(2)) {
  const r = await open(file);
  bad += !r.ok;
  console.log(JSON.stringify(r));
}
process.exit(bad ? 1 : 0);
