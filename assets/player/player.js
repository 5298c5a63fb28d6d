// The player: hands and keys on one side, `Stems` and the lanes on the other.
const CLICK_PIXELS = 4; // a pointer that moves no further is a click
const SHORTEST_LOOP_S = 0.05;
const STEP_S = 1;

const one = (selector) => element.querySelector(selector);
const all = (selector) => [...element.querySelectorAll(selector)];
const player = one(".player");
const canvases = all("canvas");
const radios = all("input[name=track]");
const sliders = all(".level input");
const colours = props.colours;
let shown = null; // the record that is shown
let levels = null; // (3, columns, 128) bytes

radios.forEach((radio) => { radio.name = `track-${element.id}`; });
one(".colours").style.background = `linear-gradient(90deg, ${
  [0, 51, 102, 153, 204, 255].map((level) => `#${colours.substr(6 * level, 6)}`).join(", ")})`;

const stems = new Stems(() => show());

// --- What is shown ---

function show() {
  const now_s = stems.now_s;
  const whole_s = shown ? shown.duration_s : 1;
  player.style.setProperty("--now", now_s / whole_s);
  player.classList.toggle("playing", stems.playing);
  one(".play").setAttribute("aria-label", stems.playing ? "Pause" : "Play");
  one(".now").textContent = clock(now_s);
  const seek = one(".seek");
  seek.setAttribute("aria-valuenow", now_s.toFixed(1));
  seek.setAttribute("aria-valuetext", `${now_s.toFixed(1)} seconds`);
}

function follow() {
  show();
  if (stems.playing) requestAnimationFrame(follow);
}

function showLoop(region) {
  player.classList.toggle("looping", region !== null);
  one(".unloop").hidden = region === null;
  if (!region) return;
  player.style.setProperty("--from", region.start_s / shown.duration_s);
  player.style.setProperty("--to", region.end_s / shown.duration_s);
  one(".unloop").textContent = `Loop ${region.start_s.toFixed(2)} to ${region.end_s.toFixed(2)} s ✕`;
  one(".unloop").setAttribute("aria-label", `End the loop from ${region.start_s.toFixed(2)} to ${region.end_s.toFixed(2)} seconds`);
}

function complain(text) {
  one(".problem").textContent = text;
  one(".problem").hidden = !text;
}

// --- What can be done ---

function play() {
  if (stems.playing) stems.pause(); else stems.play();
  follow();
}

function seek(to_s) {
  const { region } = stems;
  if (region && (to_s < region.start_s || to_s >= region.end_s)) unloop();
  stems.seek(to_s);
  show();
}

function loop(start_s, end_s) {
  const region = { start_s: Math.max(0, Math.min(start_s, end_s)), end_s: Math.min(shown.duration_s, Math.max(start_s, end_s)) };
  if (region.end_s - region.start_s < SHORTEST_LOOP_S) return;
  stems.loop(region);
  showLoop(region);
  show();
}

function hearSpan(event) {
  loop(event.start_s, event.end_s);
  seek(event.start_s);
  if (!stems.playing) play();
}

function unloop() {
  stems.loop(null);
  showLoop(null);
}

function hear(track) {
  radios[track].checked = true;
  stems.hear(track);
}

function setLevel(stem, level_db) {
  sliders[stem].value = level_db;
  all(".level output")[stem].textContent = `${level_db > 0 ? "+" : ""}${level_db} dB`;
  stems.level(stem, level_db);
}

const keys = {
  " ": play,
  1: () => hear(0),
  2: () => hear(1),
  3: () => hear(2),
  "[": () => loop(stems.now_s, stems.region?.end_s ?? shown.duration_s),
  "]": () => loop(stems.region?.start_s ?? 0, stems.now_s),
  Escape: unloop,
};
const seekKeys = {
  ArrowLeft: () => seek(stems.now_s - STEP_S),
  ArrowRight: () => seek(stems.now_s + STEP_S),
  Home: () => seek(0),
  End: () => seek(shown.duration_s),
};

player.addEventListener("keydown", (event) => {
  if (!shown || event.ctrlKey || event.metaKey || event.altKey) return;
  const onInput = event.target.matches("input");
  const action = keys[event.key] ?? (onInput ? undefined : seekKeys[event.key]);
  if (!action || (event.key === " " && event.target.matches("button"))) return; // a button presses itself
  event.preventDefault();
  action();
});
one(".play").addEventListener("click", play);
one(".unloop").addEventListener("click", () => { unloop(); one(".play").focus(); });
radios.forEach((radio, track) => radio.addEventListener("change", () => hear(track)));
sliders.forEach((slider, stem) => {
  slider.addEventListener("input", () => setLevel(stem, Number(slider.value)));
  slider.addEventListener("dblclick", () => setLevel(stem, 0));
});

// --- Click, drag and hover on everything that has the axis of time ---

const shareAt = (body, event) => {
  const box = body.getBoundingClientRect();
  return Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
};

function read(track, body, event) {
  const box = body.getBoundingClientRect();
  const columns = levels.length / 3 / BANDS;
  const share = shareAt(body, event);
  const column = Math.min(columns - 1, Math.floor(share * columns));
  const band = Math.min(BANDS - 1, Math.max(0, Math.floor((1 - (event.clientY - box.top) / box.height) * BANDS)));
  const level = levels[(track * columns + column) * BANDS + band];
  const level_db = level ? `−${(shown.range_db * (1 - level / 255)).toFixed(1)} dB` : `below −${shown.range_db} dB`;
  return `${(share * shown.duration_s).toFixed(2)} s · ${shown.bands_hz[band].toLocaleString("en")} Hz · ${level_db}`;
}

[...all(".lane .body"), one(".attention .body"), one(".seek")].forEach((body) => {
  const track = all(".lane .body").indexOf(body);
  let from = null;
  body.addEventListener("pointerdown", (event) => {
    if (!shown || event.button !== 0) return;
    from = { x: event.clientX, share: shareAt(body, event) };
    body.setPointerCapture(event.pointerId);
    one(".seek").focus({ preventScroll: true });
    event.preventDefault();
  });
  body.addEventListener("pointermove", (event) => {
    if (!shown) return;
    if (track >= 0 && levels) one(".readout").textContent = read(track, body, event);
    if (!from || Math.abs(event.clientX - from.x) <= CLICK_PIXELS) return;
    const to = shareAt(body, event);
    player.classList.add("looping");
    player.style.setProperty("--from", Math.min(from.share, to));
    player.style.setProperty("--to", Math.max(from.share, to));
  });
  body.addEventListener("pointerup", (event) => {
    if (!from) return;
    const to_s = shareAt(body, event) * shown.duration_s;
    const dragged = Math.abs(event.clientX - from.x) > CLICK_PIXELS;
    const from_s = from.share * shown.duration_s;
    from = null;
    showLoop(stems.region);
    if (dragged) loop(from_s, to_s); else seek(to_s);
  });
  body.addEventListener("pointercancel", () => { from = null; showLoop(stems.region); });
  body.addEventListener("pointerleave", () => { one(".readout").textContent = ""; });
});

// --- A result arrives ---

async function arrive() {
  stems.reset();
  shown = props.value;
  levels = null;
  one(".play").disabled = true;
  complain("");
  showLoop(null);
  hear(0);
  [0, 1].forEach((stem) => setLevel(stem, 0));
  show();
  if (!shown) return;
  const record = shown;
  one(".whole").textContent = clock(record.duration_s);
  one(".quietest").textContent = `−${record.range_db}`;
  one(".seek").setAttribute("aria-valuemax", record.duration_s.toFixed(1));
  all(".track .name").forEach((name, track) => { name.textContent = record.tracks[track]; });
  all(".lane .body").forEach((body) => drawFrequencies(body, record.ticks));
  drawAttention(one(".attention svg"), record);
  drawEvents(one(".events .body"), record, hearSpan);
  drawTimes(one(".seek"), record.duration_s);
  canvases.forEach((canvas, track) => canvas.setAttribute("aria-label", track ? record.tracks[track] : record.alt));
  fetch(record.levels.url).then((answer) => answer.arrayBuffer()).then((bytes) => {
    if (record !== shown) return;
    levels = new Uint8Array(bytes);
    const length = levels.length / 3;
    canvases.forEach((canvas, track) => drawLevels(canvas, levels.subarray(track * length, (track + 1) * length), colours));
  });
  try {
    one(".play").disabled = !await stems.load([record.target.url, record.residual.url]);
  } catch (error) {
    complain(`This browser cannot play the result (${error.message}). Download it below.`);
  }
}

watch("value", arrive);
new ResizeObserver(() => { if (shown) drawTimes(one(".seek"), shown.duration_s); }).observe(player);
