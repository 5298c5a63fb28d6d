// The map of clips, drawn in the colours of the theme and at the width of the page; the clip under the pointer is named.
const NEAR_PIXELS = 9;
const MARGIN = 26;
const svg = element.querySelector("svg");
const tip = element.querySelector(".tip");
let clips = []; // [x, y, name] in pixels

function draw(tag, attributes, text = "") {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  Object.entries(attributes).forEach(([name, value]) => node.setAttribute(name, value));
  node.textContent = text;
  return node;
}

// A name beside its place, where it lies on no other: a mark's above, below or aside, a cluster's on its middle or nowhere.
function named(name, [x, y], kind, offsets, width, taken) {
  const half = 3.7 * name.length;
  const boxes = offsets.map(([right, down]) => {
    const middle = Math.min(width - half, Math.max(half, x + right * (half + 14)));
    return { middle, line: y + down, left: middle - half, right: middle + half, top: y + down - 8, bottom: y + down + 8 };
  });
  const free = (box) => !taken.some((other) => box.left < other.right && box.right > other.left && box.top < other.bottom && box.bottom > other.top);
  const box = boxes.find(free);
  if (!box) return [];
  taken.push(box);
  return [draw("text", { x: box.middle, y: box.line, class: kind, "text-anchor": "middle", "dominant-baseline": "middle" }, name)];
}

function show() {
  const value = props.value;
  const width = element.clientWidth;
  tip.hidden = true;
  clips = [];
  if (!value || !width) return;
  const height = Math.max(260, Math.min(460, 0.62 * width));
  const at = ([x, y]) => [MARGIN + x * (width - 2 * MARGIN), MARGIN + y * (height - 2 * MARGIN)];
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("height", height);
  svg.setAttribute("aria-label", value.alt);
  const dots = draw("g", { class: "clips" });
  clips = value.clips.map(([x, y, group, name]) => {
    const [cx, cy] = at([x, y]);
    const colour = group < 0 ? {} : { style: `fill: var(--class-${group})` };
    dots.append(draw("circle", { cx, cy, r: group < 0 ? 2 : 3, ...colour }));
    return [cx, cy, name];
  });
  const marks = value.marks.map(([name, x, y]) => [name, ...at([x, y])]);
  const place = Object.fromEntries(marks.map(([name, ...point]) => [name, point]));
  const line = ["mixture", "predicted target", "description (text)"].map((name) => place[name]);
  const taken = [];
  svg.replaceChildren(
    dots,
    draw("polyline", { class: "way", points: line.map((point) => point.join(",")).join(" ") }),
    ...marks.map(([name, cx, cy]) => draw("circle", { class: "mark", cx, cy, r: 7, "data-mark": name })),
    ...marks.flatMap(([name, ...point]) => named(name, point, "mark-name", [[0, -17], [0, 18], [1, 0], [-1, 0], [1, 17], [-1, -17]], width, taken)),
    ...value.classes.flatMap(([name, ...point]) => named(name, at(point), "cluster", [[0, 0]], width, taken)),
  );
}

watch("value", show);
new ResizeObserver(show).observe(element);
svg.addEventListener("pointermove", (event) => {
  const box = svg.getBoundingClientRect();
  const [x, y] = [event.clientX - box.left, event.clientY - box.top];
  const distance = ([left, top]) => Math.hypot(left - x, top - y);
  const nearest = clips.reduce((best, clip) => (best && distance(best) <= distance(clip) ? best : clip), null);
  tip.hidden = !nearest || distance(nearest) > NEAR_PIXELS;
  if (tip.hidden) return;
  tip.textContent = nearest[2];
  tip.style.left = `${Math.min(x, box.width - 180)}px`;
  tip.style.top = `${y + 16}px`;
});
svg.addEventListener("pointerleave", () => { tip.hidden = true; });
