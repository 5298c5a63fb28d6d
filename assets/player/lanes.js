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

function drawAttention(svg, { attention, column_s, duration_s }) {
  const even = 1 / attention.length;
  const top = Math.max(1.1 * Math.max(...attention), 2 * even);
  svg.setAttribute("viewBox", `0 0 ${duration_s} 1`);
  const steps = attention.map((share, i) => `V${1 - share / top}H${Math.min(duration_s, (i + 1) * column_s)}`);
  svg.querySelector("path").setAttribute("d", `M0,1${steps.join("")}V1Z`);
  const line = { x1: 0, x2: duration_s, y1: 1 - even / top, y2: 1 - even / top };
  Object.entries(line).forEach(([name, value]) => svg.querySelector("line").setAttribute(name, value));
}

function drawEvents(body, { events, duration_s, sound }, chosen) {
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
