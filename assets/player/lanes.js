// What is seen: levels as colours, the curve of the attention, spans of activity and the axis of time.
const BANDS = 128;
const TICK_STEPS_S = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120];
const TICK_PIXELS = 56; // at least this far apart

function make(tag, attributes, text = "") {
  const node = document.createElement(tag);
  Object.entries(attributes).forEach(([name, value]) => node.setAttribute(name, value));
  node.textContent = text;
  return node;
}

const percent = (share) => `${100 * share}%`;

function clock(seconds) {
  const tenths = Math.floor(10 * seconds + 1e-6);
  return `${Math.floor(tenths / 600)}:${String(Math.floor(tenths / 10) % 60).padStart(2, "0")}.${tenths % 10}`;
}

// Levels of one track, (columns, 128) bytes with low bands first, as a picture of one pixel a byte.
function drawLevels(canvas, levels, colours) {
  const columns = levels.length / BANDS;
  canvas.width = columns;
  canvas.height = BANDS;
  const picture = new ImageData(columns, BANDS);
  levels.forEach((level, i) => {
    const pixel = 4 * ((BANDS - 1 - i % BANDS) * columns + Math.floor(i / BANDS));
    const colour = parseInt(colours.substr(6 * level, 6), 16);
    picture.data.set([colour >> 16, (colour >> 8) & 255, colour & 255, 255], pixel);
  });
  canvas.getContext("2d").putImageData(picture, 0, 0);
}

function drawFrequencies(body, ticks) {
  body.querySelectorAll(".hz").forEach((tick) => tick.remove());
  ticks.forEach(({ hz, band }) => {
    const tick = make("span", { class: "hz", "aria-hidden": "true" }, hz < 1000 ? `${hz}` : `${hz / 1000}k`);
    tick.style.bottom = percent((band + 0.5) / BANDS);
    body.append(tick);
  });
}

// Attention (columns, 8) as a curve over time, its sum over the bands.
function drawCurve(svg, grid, { even, column_s }, duration_s) {
  const curve = grid.map((bands) => bands.reduce((sum, share) => sum + share, 0));
  const top = Math.max(1.1 * Math.max(...curve), 2 * even);
  svg.setAttribute("viewBox", `0 0 ${duration_s} 1`);
  const steps = curve.map((share, i) => `V${1 - share / top}H${Math.min(duration_s, (i + 1) * column_s)}`);
  svg.querySelector("path").setAttribute("d", `M0,1${steps.join("")}V1Z`);
  const line = { x1: 0, x2: duration_s, y1: 1 - even / top, y2: 1 - even / top };
  Object.entries(line).forEach(([name, value]) => svg.querySelector("line").setAttribute(name, value));
}

// The same as a picture of one pixel a patch, low bands at the bottom.
function drawMap(canvas, grid, { column_s }, duration_s) {
  const bands = grid[0].length;
  const most = Math.max(...grid.map((patches) => Math.max(...patches))) || 1;
  canvas.width = grid.length;
  canvas.height = bands;
  canvas.style.width = percent(grid.length * column_s / duration_s); // the last column may reach behind the end
  const picture = new ImageData(grid.length, bands);
  grid.forEach((patches, column) => patches.forEach((share, band) => {
    const pixel = 4 * ((bands - 1 - band) * grid.length + column);
    picture.data.set([255, 159, 69, Math.round(255 * Math.sqrt(share / most))], pixel);
  }));
  canvas.getContext("2d").putImageData(picture, 0, 0);
}

// One row of spans for each named sound.
function drawSpans(rows, { spans, duration_s }, chosen) {
  rows.replaceChildren(...spans.map(({ sound, events }) => {
    const row = make("div", { class: "row events" });
    const title = spans.length > 1 ? sound : "active";
    const body = make("div", { class: "body" });
    row.append(make("span", { class: "gutter", title: `When it sounds: ${sound}` }, title), body);
    drawEvents(body, events, sound, duration_s, chosen);
    return row;
  }));
}

function drawEvents(body, events, sound, duration_s, chosen) {
  body.replaceChildren(...events.map((event) => {
    const says = `${sound}: ${event.start_s.toFixed(2)} to ${event.end_s.toFixed(2)} s, confidence ${event.confidence.toFixed(2)}`;
    const bar = make("button", { type: "button", title: `${says}. Loop it.`, "aria-label": `Loop ${says}` });
    bar.style.left = percent(event.start_s / duration_s);
    bar.style.width = percent((event.end_s - event.start_s) / duration_s);
    bar.style.setProperty("--sure", event.confidence);
    bar.addEventListener("click", () => chosen(event));
    return bar;
  }));
  if (!events.length) body.append(make("span", { class: "none" }, "nowhere clearly"));
}

function drawTimes(body, duration_s) {
  const most = Math.max(2, body.clientWidth / TICK_PIXELS);
  const step_s = TICK_STEPS_S.find((step) => duration_s / step <= most) ?? 300;
  const marks = [];
  for (let i = 0; i * step_s <= duration_s + 1e-9; i += 1) {
    const text = step_s < 1 ? (i * step_s).toFixed(1) : duration_s < 90 ? `${i * step_s}` : clock(i * step_s).slice(0, -2);
    const mark = make("span", { class: "second", "aria-hidden": "true" }, text);
    mark.style.left = percent(i * step_s / duration_s);
    marks.push(mark);
  }
  body.replaceChildren(...marks);
}

// A row of the player; its slider is there where the track is one sound.
function makeLane({ name, plays }, track, url, saved) {
  const lane = make("div", { class: "lane" });
  const head = make("div", { class: "head" });
  const label = make("label", { class: "track" });
  const radio = make("input", { type: "radio", name: "player-track", value: track });
  label.append(radio, ...(track < 9 ? [make("kbd", {}, `${track + 1}`)] : []), make("span", { class: "name", title: name }, name));
  head.append(label);
  if (plays.length === 1) {
    const level = make("label", { class: "level" });
    level.append(
      make("input", { type: "range", min: -24, max: 24, step: 1, value: 0, "aria-label": `Level in dB: ${name}` }),
      make("output", {}, "0 dB"),
    );
    head.append(make("a", { class: "save", href: url, download: saved, title: `Download: ${name}`, "aria-label": `Download as WAV: ${name}` }, "WAV ↓"), level);
  }
  const body = make("div", { class: "body" });
  body.append(make("canvas", { role: "img", "aria-label": name }));
  lane.append(head, body);
  return lane;
}
