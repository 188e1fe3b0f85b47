"use strict";
// Everything of the data is put into the page by textContent, never as HTML; Plotly gets numbers only, no names.

const $ = (id) => document.getElementById(id);
// Okabe and Ito's colours, told apart by colour-blind people too; beyond them the symbol changes.
const COLOURS = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#8A7F00", "#777777"];
const SYMBOLS = ["circle", "square", "diamond", "cross", "triangle-up"];
const MOST_LABELS = COLOURS.length * SYMBOLS.length;
const OWN = new Set(["id", "path", "start_s", "end_s", "first_frame", "last_frame"]);
const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
const dark = matchMedia("(prefers-color-scheme: dark)");
const state = { about: null, points: null, values: [], matches: null, selected: [], groups: { a: [], b: [] }, mode: "lasso" };

function make(tag, text, className) {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  if (className) element.className = className;
  return element;
}

async function ask(path, options) {
  const reply = await fetch(path, options);
  const content = await reply.json().catch(() => ({ error: `the server answered with ${reply.status}` }));
  if (!reply.ok) throw new Error(content.error || `the server answered with ${reply.status}`);
  return content;
}

const post = (path, content) => ask(path, { method: "POST", body: JSON.stringify(content), headers: { "Content-Type": "application/json" } });
const counted = (number, noun) => `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
const brief = (name) => name.length > 60 ? `${name.slice(0, 59)}…` : name;
const shown = (value) => value === null || value === undefined ? "(missing)" : typeof value === "number" && !Number.isInteger(value) ? value.toPrecision(5) : String(value);

function say(text, bad = false) {
  $("message").textContent = text;
  $("message").className = bad ? "bad" : "";
}

async function trying(work, where = say) {
  try { await work(); } catch (error) { where(error.message, true); }
}

// Cards: a row with its moving picture

function picture(card) {
  const frame = make("div", undefined, "picture");
  const image = make("img");
  image.alt = `frames of ${card.columns.id}`;
  const address = `/pictures/${card.set}/${card.row}?still=${still ? 1 : 0}`;
  fetch(address).then(async (reply) => {
    if (reply.headers.get("content-type") === "image/webp") {
      image.src = URL.createObjectURL(await reply.blob());
      image.onload = () => URL.revokeObjectURL(image.src);
      frame.replaceChildren(image);
    } else {
      frame.replaceChildren(make("span", (await reply.json()).error, "lost"));
    }
  }).catch((error) => frame.replaceChildren(make("span", error.message, "lost")));
  frame.append(make("span", "..."));
  return frame;
}

function span(columns) {
  if (columns.start_s !== null && columns.start_s !== undefined) return `${columns.start_s.toFixed(1)} to ${columns.end_s.toFixed(1)} s`;
  if (columns.first_frame === null || columns.first_frame === undefined) return "";
  const what = /\.(png|jpe?g|bmp|webp|tiff?)$/i.test(columns.path) ? "crops" : "frames";
  return `${what} ${columns.first_frame} to ${columns.last_frame}`;
}

function cardOf(card, rank) {
  const element = make("article", undefined, "card");
  element.append(picture(card));
  const text = make("div", undefined, "text");
  const id = String(card.columns.id);
  const file = /\.\w{2,4}$/.test(id) ? id.split(/[\\/]/).pop() : id; // the id of a tracklet is more than its last part
  const name = make("div", `${rank ? `${rank}. ` : ""}${file}`, "name");
  name.title = id;
  text.append(name);
  const facts = make("dl");
  const add = (label, value) => facts.append(make("dt", brief(label)), make("dd", value));
  if (card.score !== undefined) add("cosine", card.score.toFixed(4));
  if (span(card.columns)) add("time", span(card.columns));
  if (state.about.sets.length > 1) add("data set", card.set_name);
  for (const [column, value] of Object.entries(card.columns)) {
    if (!OWN.has(column) && value !== null) add(column, shown(value));
  }
  text.append(facts);
  element.append(text);
  const search = make("button", "Search with this", "act");
  search.type = "button";
  search.addEventListener("click", () => searchRow(card.set, card.row));
  element.append(search);
  return element;
}

// Search

const options = () => ({ k: Number($("k").value) || 12, where: $("where").value, group_by: $("group-by").value });

async function answer(work) {
  say("searching ...");
  $("answers").setAttribute("aria-busy", "true");
  await trying(async () => {
    const found = await work();
    const keyed = $("answers").contains(document.activeElement); // whoever pressed a button in an answer
    $("answers").replaceChildren(...found.rows.map((card, number) => cardOf(card, number + 1)));
    if (keyed) $("answers").focus({ preventScroll: true });
    if ($("message").getBoundingClientRect().bottom > innerHeight || keyed) $("message").scrollIntoView({ block: "start" });
    const warning = found.warning ? ` Warning: ${found.warning}` : "";
    say(`${counted(found.rows.length, "row")} like ${found.query}, of ${counted(found.searched, "row")} (${found.method}).${warning}`);
  }, (text, bad) => { $("answers").replaceChildren(); say(text, bad); });
  $("answers").removeAttribute("aria-busy");
}

const searchRow = (set, row) => answer(() => post("/api/search", { set, row, ...options() }));

$("search").addEventListener("submit", (event) => {
  event.preventDefault();
  const files = [...$("files").files];
  if (files.length) {
    const form = new FormData();
    for (const [name, value] of Object.entries(options())) form.append(name, value);
    for (const file of files) form.append("files", file);
    answer(() => ask("/api/upload", { method: "POST", body: form }));
  } else if ($("id").value.trim()) {
    answer(() => post("/api/search", { id: $("id").value.trim(), ...options() }));
  } else if ($("text").value.trim()) {
    answer(() => post("/api/search", { text: $("text").value.trim(), ...options() }));
  } else {
    say("Choose a file, write an id or words, or click a point of the map.", true);
  }
});
$("id").addEventListener("input", () => { $("files").value = ""; });
$("text").addEventListener("input", () => { $("files").value = ""; $("id").value = ""; });

// Filter

const typeOf = (column) => { const type = state.about.types[column] || ""; return (type.match(/^dictionary<values=([^,]+)/) || [, type])[1]; };
const isText = (column) => /string/.test(typeOf(column));
const isNumber = (column) => /^(u?int|float|double|halffloat|decimal|duration)/.test(typeOf(column));

function test() {
  const column = $("filter-column").value, kind = $("filter-test").value, given = $("filter-value").value;
  const name = /^[A-Za-z_]\w*$/.test(column) ? column : `column(${JSON.stringify(column)})`;
  if (kind === "is None") return `${name} is None`;
  if (kind === "contains" || kind === "startswith") {
    if (!isText(column)) throw new Error(`${column} is no text: "is", "at least" or "at most" fit it.`);
    return `${kind}(${name}, ${JSON.stringify(given)})`;
  }
  if (isNumber(column) && (given.trim() === "" || !Number.isFinite(Number(given)))) {
    throw new Error(`"${given}" is no number, as ${brief(column)} is${/^duration/.test(typeOf(column)) ? " (in seconds)" : ""}.`);
  }
  const value = /^bool/.test(typeOf(column)) ? (/^t/i.test(given) ? "True" : "False") : isNumber(column) ? given : JSON.stringify(given);
  return `${name} ${kind} ${value}`;
}

$("filter-add").addEventListener("click", () => {
  const before = $("where").value.trim();
  try {
    const held = /\bor\b/.test(before) ? `(${before})` : before;
    $("where").value = held ? `${held} and ${test()}` : test();
  } catch (error) {
    note(error.message, true);
    return;
  }
  applyFilter();
});
$("filter-value").addEventListener("keydown", (event) => {
  if (event.key === "Enter") { event.preventDefault(); $("filter-add").click(); }
});
$("filter-clear").addEventListener("click", () => { $("where").value = ""; applyFilter(); });
$("filter").addEventListener("submit", (event) => { event.preventDefault(); applyFilter(); });
$("filter-column").addEventListener("change", suggest);

function note(text, bad = false) {
  $("filter-note").textContent = text;
  $("filter-note").className = bad ? "bad" : "note";
}

async function applyFilter() {
  if (!state.points) { note($("where").value ? "Held for the next search." : ""); return; }
  await trying(async () => {
    const where = $("where").value.trim();
    state.matches = where ? await ask(`/api/matches?where=${encodeURIComponent(where)}`) : null;
    const count = state.matches ? state.matches.filter(Boolean).length : 0;
    note(where ? `${counted(count, "row")} on the map` : "");
    select(state.matches ? state.matches.flatMap((holds, at) => holds ? [at] : []) : []);
    draw();
  }, note);
}

async function suggest() {
  const column = $("filter-column").value;
  if (!state.points) return;
  await trying(async () => {
    const values = await ask(`/api/values?column=${encodeURIComponent(column)}`);
    const fit = (value) => value !== null && (!isNumber(column) || Number.isFinite(Number(value)));
    const distinct = [...new Set(values.filter(fit))].slice(0, 200);
    $("filter-values").replaceChildren(...distinct.map((value) => { const option = make("option"); option.value = String(value); return option; }));
  }, note);
}

// Map

function labels(values) {
  const counts = new Map();
  for (const value of values) counts.set(value, (counts.get(value) || 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1] || (String(a[0]) < String(b[0]) ? -1 : 1));
}

function isNumeric(values) {
  const known = values.filter((value) => value !== null);
  const numbers = known.every((value) => typeof value === "number");
  return known.length && numbers && (known.some((value) => !Number.isInteger(value)) || new Set(known).size > 20);
}

function swatch(at) {
  const colour = COLOURS[at % COLOURS.length];
  const shapes = ["M6 1a5 5 0 1 0 .01 0z", "M2 2h8v8H2z", "M6 0l6 6-6 6-6-6z", "M4 1h4v3h3v4H8v3H4V8H1V4h3z", "M6 1l5 10H1z"];
  const icon = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  icon.setAttribute("width", "12"); icon.setAttribute("height", "12"); icon.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", shapes[Math.floor(at / COLOURS.length) % shapes.length]); path.setAttribute("fill", colour);
  icon.append(path);
  return icon;
}

function draw() {
  const { points, values, matches } = state;
  const style = getComputedStyle(document.documentElement);
  const marker = { size: points.x.length > 2000 ? 5 : 8, line: { width: 0 } };
  marker.opacity = points.x.map((_, at) => !matches || matches[at] ? 0.85 : 0.08);
  $("legend").replaceChildren();
  if (isNumeric(values)) {
    marker.color = values;
    marker.colorscale = "Viridis";
    marker.colorbar = { thickness: 12, outlinewidth: 0, tickfont: { color: style.getPropertyValue("--soft") } };
    const lost = values.filter((value) => value === null).length;
    if (lost) $("legend").append(make("span", `${counted(lost, "row")} without a value are not shown in colour`));
  } else {
    const found = labels(values);
    const place = new Map(found.map(([value], at) => [value, at]));
    const colour = (value) => { const at = place.get(value); return at < MOST_LABELS ? at : -1; };
    marker.color = values.map((value) => colour(value) < 0 ? "#999999" : COLOURS[colour(value) % COLOURS.length]);
    marker.symbol = values.map((value) => colour(value) < 0 ? "x" : SYMBOLS[Math.floor(colour(value) / COLOURS.length)]);
    if (found.length > MOST_LABELS) $("legend").append(make("span", `x: ${found.length - MOST_LABELS} other values`));
    for (const [value, count] of found.slice(0, MOST_LABELS)) {
      const entry = make("span");
      entry.append(swatch(place.get(value)), `${shown(value)} (${count})`);
      $("legend").append(entry);
    }
  }
  const data = [{ type: "scatter", mode: "markers", x: points.x, y: points.y, marker, hoverinfo: "none",
    selectedpoints: state.selected.length ? state.selected : null, unselected: { marker: { opacity: 0.15 } } }];
  const axis = { visible: false, zeroline: false };
  const layout = { margin: { l: 8, r: 8, t: 8, b: 8 }, xaxis: axis, yaxis: { ...axis, scaleanchor: "x" }, dragmode: state.mode,
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", showlegend: false, hovermode: "closest", uirevision: "map" };
  return Plotly.react("map", data, layout, { displayModeBar: false, scrollZoom: true, responsive: true, showTips: false });
}

function select(places) {
  state.selected = places;
  $("selected").textContent = places.length ? `${counted(places.length, "point")} selected.` : "Drag around points to select a region.";
}

const rowAt = (at) => [state.points.set[at], state.points.row[at]];

function take(name) {
  if (!state.selected.length) { $("selected").textContent = "Select points first: drag around them, or set a filter."; return; }
  state.groups[name] = state.selected.map(rowAt);
  $(`count-${name}`).textContent = state.groups[name].length;
  $("compare").disabled = !(state.groups.a.length && state.groups.b.length);
}
$("take-a").addEventListener("click", () => take("a"));
$("take-b").addEventListener("click", () => take("b"));
$("compare").addEventListener("click", () => trying(showDifference));
$("home").addEventListener("click", () => Plotly.relayout("map", { "xaxis.autorange": true, "yaxis.autorange": true }));
for (const input of document.querySelectorAll("input[name=mode]")) {
  input.addEventListener("change", () => { state.mode = input.value; Plotly.relayout("map", { dragmode: input.value }); });
}
$("colour").addEventListener("change", () => trying(colour));

async function colour() {
  state.values = await ask(`/api/values?column=${encodeURIComponent($("colour").value)}`);
  await draw();
}

let hovered = 0;
async function hover(at) {
  const ticket = ++hovered;
  const [set, row] = rowAt(at);
  await trying(async () => {
    const card = await ask(`/api/rows/${set}/${row}`);
    if (ticket !== hovered) return;
    const made = cardOf(card);
    $("hover").replaceChildren(...made.children);
    $("hover").hidden = false;
  });
}

// Two groups

function cell(column, group) {
  const element = make("td");
  if (column.kind === "numbers") {
    const [least, median, most] = column.range[group];
    element.textContent = `median ${shown(median)}, ${shown(least)} to ${shown(most)}`;
  } else {
    element.textContent = column.most[group].map(([value, count]) => `${shown(value)}: ${count}`).join(", ");
    const more = column.distinct[group] - column.most[group].length;
    if (more > 0) element.append(` and ${more} more`);
  }
  return element;
}

async function showDifference() {
  const found = await post("/api/compare", state.groups);
  const section = $("difference");
  const both = found.both ? ` ${counted(found.both, "row")} in both.` : "";
  section.replaceChildren(make("h2", `A (${counted(found.rows[0], "row")}) and B (${counted(found.rows[1], "row")})`),
    make("p", `Cosine of their mean directions ${found.cosine.toFixed(3)}.${both} Difference: 0 where a column is distributed alike, 1 where they have nothing in common.`, "note"));
  const table = make("table");
  const head = make("tr");
  for (const name of ["column", "difference", "A", "B"]) head.append(make("th", name));
  const top = make("thead");
  top.append(head);
  const body = make("tbody");
  for (const column of found.columns) {
    const line = make("tr");
    const amount = make("td", column.difference.toFixed(2));
    line.append(make("th", brief(column.name)), amount, cell(column, 0), cell(column, 1));
    body.append(line);
  }
  table.append(top, body);
  const wide = make("div", undefined, "wide");
  wide.append(table);
  section.append(wide);
  found.representatives.forEach((group, at) => {
    section.append(make("h3", `Nearest to the middle of ${"AB"[at]}`));
    const cards = make("div", undefined, "cards");
    cards.append(...group.map((card) => cardOf(card)));
    section.append(cards);
  });
  section.hidden = false;
}

// Start

async function start() {
  state.about = await ask("/api/about");
  const { sets, map } = state.about;
  $("sets").textContent = sets.map((set) => `${set.name}: ${counted(set.rows, "row")}`).join("; ");
  const columns = Object.keys(state.about.types);
  const fill = (id, names, first = []) => $(id).append(...first, ...names.map((name) => { const option = make("option", brief(name)); option.value = name; return option; }));
  const useful = columns.filter((name) => !OWN.has(name));
  const ordered = [...useful, ...columns.filter((name) => OWN.has(name))];
  fill("filter-column", ordered);
  fill("group-by", ordered);
  if (!map) {
    $("map-section").hidden = true;
    document.querySelector("main").className = "no-map";
    return;
  }
  if (map.rows < map.of) $("map-note").textContent = `${map.rows.toLocaleString("en")} of ${counted(map.of, "row")}, evenly spaced (--map-rows); search goes over all.`;
  const own = make("option", "data set");
  own.value = "";
  fill("colour", ordered, [own]);
  if (sets.length === 1 && useful.length) $("colour").value = useful[0];
  state.points = await ask("/api/points");
  await colour();
  if (state.values.every((value) => value === null)) {
    $("colour").value = "";
    await colour();
  }
  const plot = $("map");
  plot.on("plotly_selected", (event) => { if (event) { select(event.points.map((point) => point.pointIndex)); } });
  plot.on("plotly_deselect", () => select([]));
  plot.on("plotly_hover", (event) => hover(event.points[0].pointIndex));
  plot.on("plotly_click", (event) => searchRow(...rowAt(event.points[0].pointIndex)));
  dark.addEventListener("change", draw);
  suggest();
}

trying(start);
