// SPDX-License-Identifier: Apache-2.0
// Draws the windows of a recording with what was predicted of them. Text from files is never parsed as HTML.
"use strict";

const COLORS = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#8C8C8C"];
const state = { classes: [], regression: false, recordings: [], windows: [], shown: [], at: 0, gain: 1, signal: null };
const byId = (name) => document.getElementById(name);
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

async function load(path, query) {
  const response = await fetch(path + (query ? "?" + new URLSearchParams(query) : ""));
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  return response.json();
}

function colorOf(name) {
  const index = state.classes.indexOf(name);
  return COLORS[(index < 0 ? COLORS.length - 1 : index) % COLORS.length];
}

function errorColor(window) {
  const largest = Math.max(...state.windows.map((each) => each.error || 0), 1e-9);
  const share = Math.round((100 * (window.error || 0)) / largest);
  return `color-mix(in srgb, ${css("--wrong")} ${share}%, ${COLORS[0]})`;
}

function fit(canvas, height) {
  const width = canvas.clientWidth, ratio = window.devicePixelRatio || 1;
  canvas.style.height = `${height}px`;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  context.font = "12px system-ui, sans-serif";
  return [context, width, height];
}

function drawStrip() {
  const [context, width] = fit(byId("strip"), 60);
  const left = 68, step = (width - left) / Math.max(state.shown.length, 1);
  const rows = [["true", 4], ["predicted", 22], ["quality", 40]];
  context.fillStyle = css("--grey");
  for (const [name, top] of rows) context.fillText(name, 0, top + 12);
  state.shown.forEach((window, index) => {
    const x = left + index * step, size = Math.max(step - (step > 4 ? 1 : 0), 0.5);
    const tested = window.predicted !== undefined;
    context.fillStyle = !tested ? css("--line") : state.regression ? COLORS[0] : colorOf(window.label);
    context.fillRect(x, 4, size, 14);
    context.fillStyle = !tested ? css("--line") : state.regression ? errorColor(window) : colorOf(window.predicted);
    context.fillRect(x, 22, size, 14);
    context.fillStyle = css("--grey");
    context.fillRect(x, 54 - 14 * window.quality, size, 14 * window.quality);
  });
  const number = Math.min(Number(byId("number").value), state.shown.length - state.at);
  context.strokeStyle = css("--ink");
  context.lineWidth = 2;
  context.strokeRect(left + state.at * step, 1, Math.max(number * step, 3), 56);
}

function drawSignals() {
  const signal = state.signal;
  if (!signal) return;
  const height = Math.max(300, 22 * signal.channels.length + 40);
  const [context, width] = fit(byId("signals"), height);
  const left = 58, right = 46, bottom = height - 22, spacing = (bottom - 16) / signal.channels.length;
  const samples = signal.parts.reduce((sum, part) => sum + part.samples[0].length, 0);
  const step = (width - left - right) / samples;
  const deviations = signal.parts[0].samples.map((line) => Math.sqrt(line.reduce((s, v) => s + v * v, 0) / line.length));
  const typical = deviations.sort((a, b) => a - b)[Math.floor(deviations.length / 2)] || 1;
  const scale = (state.gain * spacing) / (5 * typical);
  let offset = 0;
  signal.parts.forEach((part, index) => {
    const x = left + offset * step, window = state.shown[state.at + index];
    context.strokeStyle = css("--line");
    context.lineWidth = 1;
    context.beginPath(); context.moveTo(x, 0); context.lineTo(x, bottom); context.stroke();
    context.fillStyle = css("--grey");
    const event = window && window.event ? `  ${window.event}` : "";
    context.fillText(`${part.start} s${event}`, x + 3, height - 6);
    context.strokeStyle = css("--trace");
    part.samples.forEach((line, channel) => {
      const middle = 16 + (channel + 0.5) * spacing;
      context.beginPath();
      line.forEach((value, place) => {
        const y = middle - value * scale;
        if (place === 0) context.moveTo(x, y); else context.lineTo(x + place * step, y);
      });
      context.stroke();
    });
    offset += part.samples[0].length;
  });
  const end = (signal.parts.at(-1).start + signal.parts.at(-1).samples[0].length / signal.rate).toFixed(1);
  context.fillStyle = css("--grey");
  context.fillText(`${Number(end)} s`, width - right + 3, height - 6);
  context.fillStyle = css("--ink");
  signal.channels.forEach((name, channel) => context.fillText(name, 0, 20 + (channel + 0.5) * spacing));
  const bar = 50 * scale;
  if (bar < bottom) {
    context.strokeStyle = css("--ink"); context.lineWidth = 2;
    context.beginPath(); context.moveTo(width - 6, 22); context.lineTo(width - 6, 22 + bar); context.stroke();
    context.fillText("50 µV", width - right + 4, 16); // beside the signals, not over them
  }
}

function describe(window) {
  const parts = [`${window.start} to ${window.end} s`];
  if (window.event) parts.push(`event ${window.event}`);
  if (window.predicted === undefined) parts.push("not tested");
  else {
    const score = window.score === undefined ? "" : ` (${Math.round(100 * window.score)} %)`;
    parts.push(`true ${window.label}`, `predicted ${window.predicted}${score}`);
  }
  return [...parts, `quality ${window.quality.toFixed(2)}`].join(", ");
}

async function show(place) {
  state.at = Math.max(0, Math.min(place, state.shown.length - 1));
  const window = state.shown[state.at], facts = byId("facts");
  if (!window) { facts.textContent = "No such window here."; state.signal = null; fit(byId("signals"), 40); drawStrip(); return; }
  facts.textContent = `Window ${state.at + 1} of ${state.shown.length}: ${describe(window)}`;
  facts.classList.toggle("wrong", window.is_right === false);
  drawStrip();
  const number = byId("filter").value === "all" ? byId("number").value : 1;
  const first = state.windows.indexOf(window), asked = byId("recording").value + first;
  state.asked = asked;
  const signal = await load("signal", { recording: byId("recording").value, first, number });
  if (state.asked !== asked) return; // the reader has gone on
  state.signal = signal;
  drawSignals();
  document.body.dataset.ready = "true";
}

async function choose() {
  state.windows = await load("windows", { recording: byId("recording").value });
  const isWrong = byId("filter").value === "wrong";
  state.shown = isWrong ? state.windows.filter((each) => each.is_right === false) : state.windows;
  await show(0);
}

function drawLegend() {
  const legend = byId("legend");
  const entries = state.regression ? [["small error", COLORS[0]], ["largest error", css("--wrong")]] : state.classes.map((name) => [name, colorOf(name)]);
  for (const [name, color] of entries) {
    const swatch = document.createElement("span");
    swatch.className = "swatch";
    swatch.style.background = color;
    legend.append(swatch, document.createTextNode(name));
  }
}

async function start() {
  const found = await load("recordings");
  Object.assign(state, { classes: found.classes, regression: found.is_regression, recordings: found.recordings });
  for (const each of found.recordings) {
    const right = each.right === null ? "" : `, ${each.right} of ${each.tested} right`;
    byId("recording").append(new Option(`${each.name} (${each.subject}${right})`, each.name));
  }
  if (state.regression) byId("filter").disabled = true;
  const windows = found.recordings.reduce((sum, each) => sum + each.windows, 0);
  byId("about").textContent = `${found.recordings.length} recordings, ${windows} windows, run ${found.run}. Arrow keys go to the next window or recording.`;
  drawLegend();
  await choose();
}

function go(step) { return show(state.at + step); }

function otherRecording(step) {
  const select = byId("recording");
  select.selectedIndex = Math.max(0, Math.min(select.selectedIndex + step, select.options.length - 1));
  return choose();
}

function guard(action) { return Promise.resolve(action).catch((error) => { byId("about").textContent = `Cannot load: ${error.message}`; }); }

byId("recording").addEventListener("change", () => guard(choose()));
byId("filter").addEventListener("change", () => guard(choose()));
byId("number").addEventListener("change", () => guard(show(state.at)));
byId("previous").addEventListener("click", () => guard(go(-1)));
byId("next").addEventListener("click", () => guard(go(1)));
byId("smaller").addEventListener("click", () => { state.gain /= 1.4; drawSignals(); });
byId("larger").addEventListener("click", () => { state.gain *= 1.4; drawSignals(); });
byId("strip").addEventListener("click", (event) => {
  const box = byId("strip").getBoundingClientRect();
  guard(show(Math.floor(((event.clientX - box.left - 68) / (box.width - 68)) * state.shown.length)));
});
document.addEventListener("keydown", (event) => {
  if (["SELECT", "INPUT"].includes(event.target.tagName)) return;
  const actions = { ArrowRight: () => go(1), ArrowLeft: () => go(-1), ArrowDown: () => otherRecording(1), ArrowUp: () => otherRecording(-1) };
  if (!(event.key in actions)) return;
  event.preventDefault();
  guard(actions[event.key]());
});
window.addEventListener("resize", () => { drawStrip(); drawSignals(); });
window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { drawStrip(); drawSignals(); });
guard(start());
