// The player: hands and keys on one side, `Stems` and the lanes on the other.
const CLICK_PIXELS = 4; // a pointer that moves no further is a click
const SHORTEST_LOOP_S = 0.05;
const STEP_S = 1;
const BANDS_SEEN = 8; // of the attention

const one = (selector) => element.querySelector(selector);
const all = (selector) => [...element.querySelectorAll(selector)];
const player = one(".player");
const colours = props.colours;
const looks = ["of", "layer", "attending"].map((name) => one(`.looks .${name}`));
let shown = null; // the record that is shown
let levels = null; // (tracks, columns, 128) bytes
let attention = null; // (names, layers, heads, columns, 8)
let radios = [];

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
  if (!radios[track]) return;
  radios[track].checked = true;
  stems.hear(shown.tracks[track].plays);
}

function setLevel(level, stem, level_db) {
  level.querySelector("input").value = level_db;
  level.querySelector("output").textContent = `${level_db > 0 ? "+" : ""}${level_db} dB`;
  stems.level(stem, level_db);
}

// The attention that is chosen, (columns, 8); the last head in the list is the mean of all.
function look() {
  if (!attention) return;
  const { layers, heads, columns, names } = shown.attention;
  const [of, layer, head] = looks.map((select) => Number(select.value));
  const chosen = head < heads ? [head] : [...Array(heads).keys()];
  const grid = Array.from({ length: columns }, (_, column) => Array.from({ length: BANDS_SEEN }, (__, band) => chosen.reduce(
    (sum, one) => sum + attention[(((of * layers + layer) * heads + one) * columns + column) * BANDS_SEEN + band], 0) / chosen.length));
  drawCurve(one(".attention svg"), grid, shown.attention, shown.duration_s);
  drawMap(one(".map canvas"), grid, shown.attention, shown.duration_s);
  one(".map canvas").setAttribute("aria-label", `Attention of ${names[of]} over time and 8 bands: `
    + `layer ${layer + 1} of ${layers}, ${head < heads ? `head ${head + 1}` : "mean of the heads"}`);
}

function offer(select, texts, chosen) {
  select.replaceChildren(...texts.map((text, i) => make("option", { value: i }, text)));
  select.value = chosen;
  select.parentNode.hidden = texts.length < 2;
}

const keys = {
  " ": play,
  ...Object.fromEntries([...Array(9).keys()].map((track) => [track + 1, () => hear(track)])),
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

// Space plays wherever nothing else waits for it.
document.addEventListener("keydown", (event) => {
  const taken = "input, textarea, select, button, a, summary, [role=radio], [role=slider], [contenteditable]";
  if (event.key !== " " || !shown || player.contains(event.target) || event.target.closest(taken)) return;
  event.preventDefault();
  play();
});
player.addEventListener("keydown", (event) => {
  if (!shown || event.ctrlKey || event.metaKey || event.altKey) return;
  const onInput = event.target.matches("input, select");
  const action = keys[event.key] ?? (onInput ? undefined : seekKeys[event.key]);
  if (!action || (event.key === " " && event.target.matches("button, select, a"))) return; // a button presses itself
  event.preventDefault();
  action();
});
one(".play").addEventListener("click", play);
one(".unloop").addEventListener("click", () => { unloop(); one(".play").focus(); });
looks.forEach((select) => select.addEventListener("change", look));
one(".reveal").addEventListener("click", () => { player.classList.remove("blind"); showNames(false); });

// --- Click, drag and hover on everything that has the axis of time ---

const shareAt = (body, event) => {
  const box = body.getBoundingClientRect();
  return Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
};

function read(track, body, event) {
  const box = body.getBoundingClientRect();
  const columns = levels.length / shown.tracks.length / BANDS;
  const share = shareAt(body, event);
  const column = Math.min(columns - 1, Math.floor(share * columns));
  const band = Math.min(BANDS - 1, Math.max(0, Math.floor((1 - (event.clientY - box.top) / box.height) * BANDS)));
  const level = levels[(track * columns + column) * BANDS + band];
  const level_db = level ? `−${(shown.range_db * (1 - level / 255)).toFixed(1)} dB` : `below −${shown.range_db} dB`;
  return `${(share * shown.duration_s).toFixed(2)} s · ${shown.bands_hz[band].toLocaleString("en")} Hz · ${level_db}`;
}

function makeSeekable(body, track = -1) {
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
}
[one(".attention .body"), one(".map .body"), one(".seek")].forEach((body) => makeSeekable(body));

// --- A result arrives ---

function showLanes(record) {
  const lanes = record.tracks.map((track, number) => {
    const stem = track.plays[0];
    const lane = makeLane(track, number, record.files[stem], record.saved[stem]);
    const level = lane.querySelector(".level");
    level?.addEventListener("input", (event) => setLevel(level, stem, Number(event.target.value)));
    level?.addEventListener("dblclick", () => setLevel(level, stem, 0));
    lane.querySelector("input").addEventListener("change", () => hear(number));
    makeSeekable(lane.querySelector(".body"), number);
    return lane;
  });
  one(".lanes").replaceChildren(...lanes);
  radios = all(".track input");
}

// Not knowing which renderer made what: the tracks to be compared get letters, and no pictures.
function showNames(blind) {
  player.classList.toggle("blind", blind);
  one(".reveal").hidden = !blind;
  all(".lane").forEach((lane, number) => {
    const { name, letter } = shown.tracks[number];
    lane.classList.toggle("compared", Boolean(letter));
    lane.querySelector(".name").textContent = blind && letter ? letter : name;
  });
}

async function arrive() {
  stems.reset();
  shown = props.value;
  levels = attention = null;
  one(".play").disabled = true;
  complain("");
  showLoop(null);
  show();
  if (!shown) return;
  const record = shown;
  player.classList.remove("empty");
  element.closest("#result").classList.remove("stale");
  one(".subject").textContent = record.title;
  one(".about-result .label").textContent = record.label ?? "";
  one(".notes").hidden = !record.notes.length;
  one(".notes").replaceChildren(...record.notes.map((note) => make("li", {}, note)));
  showLanes(record);
  showNames(record.blind);
  hear(0);
  one(".whole").textContent = clock(record.duration_s);
  one(".quietest").textContent = `−${record.range_db}`;
  one(".seek").setAttribute("aria-valuemax", record.duration_s.toFixed(1));
  all(".lane .body").forEach((body) => drawFrequencies(body, record.ticks));
  const { names, layers, heads } = record.attention;
  const count = (number) => Array.from({ length: number }, (_, i) => `${i + 1} of ${number}`);
  offer(looks[0], names, 0);
  offer(looks[1], count(layers), layers - 1);
  offer(looks[2], [...count(heads), "all, their mean"], heads);
  drawSpans(one(".spans"), record, hearSpan);
  drawTimes(one(".seek"), record.duration_s);
  one(".lane canvas").setAttribute("aria-label", record.alt);
  const get = (url) => fetch(url).then((answer) => answer.arrayBuffer());
  Promise.all([get(record.levels), get(record.looks)]).then(([levelBytes, lookBytes]) => {
    if (record !== shown) return;
    levels = new Uint8Array(levelBytes);
    attention = new Float32Array(lookBytes);
    const length = levels.length / record.tracks.length;
    all(".lane canvas").forEach((canvas, track) => drawLevels(canvas, levels.subarray(track * length, (track + 1) * length), colours));
    look();
  });
  try {
    if (!await stems.load(record.files)) return;
    hear(radios.findIndex((radio) => radio.checked));
    one(".play").disabled = false;
  } catch (error) {
    complain(`This browser cannot play the result (${error.message}). Download it below.`);
  }
}

watch("value", arrive);
new ResizeObserver(() => { if (shown) drawTimes(one(".seek"), shown.duration_s); }).observe(player);
