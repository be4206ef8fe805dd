// Offers what may come next in the search line; without this script the line is typed and sent as it is.
const line = document.getElementById("line");
const list = document.getElementById("line-offers");
let offered = [];
let chosen = -1;
let asked = 0;

// The server counts characters, a browser UTF-16 code units.
const characters = (text) => [...text].length;
const units = (text, count) => [...text].slice(0, count).join("").length;

async function offer() {
  const number = ++asked;
  const before = line.value.slice(0, line.selectionStart);
  const answer = await fetch("/complete", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ line: line.value, cursor: characters(before) }),
  });
  if (number !== asked || !answer.ok) return;
  show((await answer.json()).offered.filter((one) => one.kind !== "label" && one.text));
}

function show(found) {
  offered = found;
  chosen = -1;
  list.replaceChildren(...found.map(item));
  const isOpen = found.length > 0;
  list.hidden = !isOpen;
  line.setAttribute("aria-expanded", String(isOpen));
  line.removeAttribute("aria-activedescendant");
}

function item(one, place) {
  const entry = document.createElement("li");
  entry.id = `line-offer-${place}`;
  entry.setAttribute("role", "option");
  entry.setAttribute("aria-selected", "false");
  const text = document.createElement("bdi");
  text.textContent = one.text;
  const kind = document.createElement("span");
  kind.textContent = one.kind;
  entry.append(text, " ", kind);
  entry.addEventListener("mousedown", (event) => { event.preventDefault(); take(place); });
  return entry;
}

function choose(place) {
  chosen = (place + offered.length) % offered.length;
  for (const [number, entry] of [...list.children].entries()) {
    entry.setAttribute("aria-selected", String(number === chosen));
  }
  const entry = list.children[chosen];
  entry.scrollIntoView({ block: "nearest" });
  line.setAttribute("aria-activedescendant", entry.id);
}

function take(place) {
  const { text, start } = offered[place];
  const behind = line.value.slice(line.selectionStart);
  const before = `${line.value.slice(0, units(line.value, start))}${text} `;
  line.value = before + behind.trimStart();
  line.setSelectionRange(before.length, before.length);
  line.focus();
  offer();
}

line.addEventListener("input", offer);
line.addEventListener("blur", () => { asked += 1; show([]); });
line.addEventListener("keydown", (event) => {
  if (list.hidden) {
    if (event.key === "ArrowDown") { event.preventDefault(); offer(); }
    return;
  }
  if (event.key === "ArrowDown") choose(chosen + 1);
  else if (event.key === "ArrowUp") choose(chosen < 0 ? -1 : chosen - 1);
  else if (event.key === "Escape") { asked += 1; show([]); }
  else if ((event.key === "Enter" || event.key === "Tab") && chosen >= 0) take(chosen);
  else return;
  event.preventDefault();
});
