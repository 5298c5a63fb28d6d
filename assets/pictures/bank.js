// The map of clips as a picture; the clip under the pointer is named.
const NEAR_PIXELS = 9;
const picture = element.querySelector("img");
const tip = element.querySelector(".tip");
let clips = []; // [share of the width, share of the height, name]

watch("value", () => {
  const value = props.value;
  picture.hidden = !value;
  tip.hidden = true;
  clips = value ? value.clips : [];
  if (!value) return;
  picture.alt = value.alt;
  picture.src = value.url;
  element.querySelector("a").href = value.url;
});

picture.addEventListener("pointermove", (event) => {
  const box = picture.getBoundingClientRect();
  const [x, y] = [event.clientX - box.left, event.clientY - box.top];
  const distance = ([left, top]) => Math.hypot(left * box.width - x, top * box.height - y);
  const nearest = clips.reduce((best, clip) => (best && distance(best) <= distance(clip) ? best : clip), null);
  tip.hidden = !nearest || distance(nearest) > NEAR_PIXELS;
  if (tip.hidden) return;
  tip.textContent = nearest[2];
  tip.style.left = `${Math.min(x, box.width - 180)}px`;
  tip.style.top = `${y + 16}px`;
});
picture.addEventListener("pointerleave", () => { tip.hidden = true; });
