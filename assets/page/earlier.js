// What this user asked for before, kept in the browser; the newest is also put into the page's address.
const PLACE = "hsm-tss.earlier";
const MOST = 20;
let entries = [];
try {
  entries = JSON.parse(localStorage.getItem(PLACE)) ?? [];
} catch {} // storage that is forbidden or damaged: start with nothing

const list = element.querySelector("ol");
const details = element.querySelector("details");

function show() {
  details.hidden = entries.length === 0;
  list.replaceChildren(...entries.map((entry) => {
    const item = document.createElement("li");
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = entry.instruction || entry.description;
    button.addEventListener("click", () => {
      props.value = entry;
      trigger("input");
    });
    const when = new Date(entry.at).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
    item.append(button, ` ${entry.understood}, ${when}`);
    return item;
  }));
}

function keep() {
  try {
    localStorage.setItem(PLACE, JSON.stringify(entries));
  } catch {} // forbidden: they last as long as the page
  show();
}

element.querySelector(".forget").addEventListener("click", () => {
  entries = [];
  keep();
});
watch("value", () => {
  const entry = props.value;
  const same = (other) => SETTINGS.every((name) => other[name] === entry[name]);
  entries = [entry, ...entries.filter((other) => !same(other))].slice(0, MOST);
  keep();
  writeAddress(entry);
});
show();
