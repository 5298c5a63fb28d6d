// What the microphone hears: levels and attention of the last 20 seconds, newest on the right.
const COLUMNS = 128;
const FAINTEST_DB = -80;
const view = element.querySelector(".live");

// Steps of a curve from the bottom of its box up.
function steps(values, bottom) {
  const first = COLUMNS - values.length;
  return `M${first},${bottom}${values.map((value, i) => `V${Math.max(0, bottom - value)}H${first + i + 1}`).join("")}V${bottom}Z`;
}

watch("value", () => {
  const heard = props.value;
  view.hidden = !heard;
  if (!heard) return;
  view.classList.toggle("asking", "asks" in heard);
  if (heard.asks) {
    view.querySelector(".now").textContent = heard.asks;
    return;
  }
  const draw = (name, values, bottom) => view.querySelector(`.${name}`).setAttribute("d", steps(values, bottom));
  draw("whole", heard.whole_db.map((db) => db - FAINTEST_DB), 80);
  draw("named", heard.named_db.map((db) => db - FAINTEST_DB), 80);
  draw("attention", heard.attention, 4);
  const latest = heard.named_db.at(-1);
  view.querySelector(".now").textContent = `${heard.sound}: ${latest > FAINTEST_DB ? `${Math.round(latest)} dB`.replace("-", "−") : "silent"}`;
});
