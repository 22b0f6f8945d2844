"use strict";
// The page can be read without this. It adds filters, sorting, columns and csv to what stands there, and shows a pair alone.

const WORDS = { dataset: "data set" }; // others are called as their attributes are

function make(tag, attributes = {}, ...content) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...content);
  return made;
}

function button(text, action) {
  const made = make("button", { type: "button" }, text);
  made.addEventListener("click", action);
  return made;
}

// ---- filters: a section names the attributes of its items that it can be filtered by

function select(section, items, key, change) {
  const values = new Set(items.flatMap((item) => item.dataset[key].split("|")));
  const made = make("select", { name: key }, make("option", { value: "" }, "all"));
  for (const value of values) made.append(make("option", { value }, value));
  made.value = section.getAttribute(`data-first-${key}`) ?? "";
  made.addEventListener("change", change);
  return made;
}

function addFilters(section) {
  const items = [...section.querySelectorAll("[data-dataset]")];
  if (!items.length) return;
  const found = make("output");
  const selects = section.dataset.filters.split(" ").map((key) => select(section, items, key, () => {
    section.classList.add("chosen");
    filter();
  }));
  function filter() {
    const wanted = selects.filter((one) => one.value);
    for (const item of items) {
      const fits = wanted.every((one) => item.dataset[one.name].split("|").includes(one.value));
      item.classList.toggle("off", !fits);
    }
    found.value = `${items.filter((item) => !item.classList.contains("off")).length} of ${items.length} shown`;
  }
  const labels = selects.map((one) => make("label", {}, WORDS[one.name] ?? one.name, one));
  const tools = make("div", { class: "tools", role: "group", "aria-label": "Filters" }, ...labels, found);
  section.querySelector(".scroll, .gallery").before(tools);
  filter();
}

// ---- tables

const NUMBER = /^([×+-]?\s?[\d,.]+(?:e-?\d+)?)( %| points)?(?: \(([^ ]+) to ([^ ]+)\))?(?: of ([\d,]+))?$/;
const bare = (text) => text?.replace(/[,×\s]/g, "").replace("∞", "Infinity");

/** The parts of a cell such as "5.1 % (4.0 to 6.2)": value, low, high, of how many; a word is its own value. */
function parts(cell) {
  const text = cell.textContent.trim().replace(/\s+/g, " ");
  const [, value, , low, high, of] = NUMBER.exec(text) ?? [];
  if (value === undefined) return { value: text === "–" ? "" : text };
  return { value: bare(value), low: bare(low), high: bare(high), of: bare(of) };
}

function compare(a, b) {
  const [x, y] = [Number(a), Number(b)];
  return Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b, "en", { numeric: true }) : x - y;
}

function sort(table, column, direction) {
  const body = table.tBodies[0];
  const rows = [...body.rows].map((row) => ({ row, key: parts(row.cells[column]).value }));
  rows.sort((a, b) => (a.key === "") - (b.key === "") || direction * compare(a.key, b.key)); // what is not known comes last
  body.append(...rows.map(({ row }) => row));
}

function addSorting(table) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const first = head.classList.contains("n") ? "descending" : "ascending";
    const other = first === "ascending" ? "descending" : "ascending";
    head.replaceChildren(button(head.textContent, () => {
      const next = head.getAttribute("aria-sort") === first ? other : first;
      for (const one of heads) one.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", next);
      sort(table, column, next === "ascending" ? 1 : -1);
    }));
  });
}

function addColumns(table, tools) {
  const style = document.head.appendChild(make("style"));
  const section = table.closest("[data-filters]");
  const heads = [...table.tHead.rows[0].cells].slice(1);
  const boxes = heads.map((head) => {
    const box = make("input", { type: "checkbox" });
    box.checked = head.hasAttribute("data-first");
    return box;
  });
  const without = (wanted) => {
    const columns = heads.flatMap((head, i) => (wanted(head, i) ? `[data-columns] tr > :nth-child(${i + 2})` : []));
    return columns.length ? `${columns} { display: none; }` : "";
  };
  function show() {
    for (const head of heads) { // of those whose filter is set every row says the same
      head.classList.toggle("same", Boolean(section.querySelector(`select[name="${head.dataset.key}"]`)?.value));
    }
    const same = without((head, i) => boxes[i].checked && head.classList.contains("same"));
    style.textContent = without((_, i) => !boxes[i].checked) + (section.matches(".chosen") ? same : `@media screen { ${same} }`);
    table.classList.toggle("many", boxes.filter((box) => box.checked).length > 12);
  }
  function choose(set) {
    if (set) boxes.forEach((box, i) => { box.checked = set(heads[i]); });
    show();
  }
  boxes.forEach((box) => box.addEventListener("change", () => choose()));
  const labels = boxes.map((box, i) => make("label", {}, box, heads[i].textContent.trim()));
  const all = button("all", () => choose(() => true));
  const few = button("as at first", () => choose((head) => head.hasAttribute("data-first")));
  const fields = make("fieldset", {}, make("legend", {}, "Columns that are shown"), ...labels, all, few);
  tools.append(make("details", {}, make("summary", {}, "Columns"), fields));
  section.addEventListener("change", show);
  show();
}

const quoted = (text) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

/** What is shown of a table; a number with its interval is three columns, and 3 of 50 is two. */
function csv(table) {
  const rows = [...table.rows].filter((row) => !row.classList.contains("off"));
  const shown = [...rows[0].cells].filter((head) => head.offsetWidth || head.matches(".same")).map((head) => head.cellIndex);
  const cells = rows.map((row) => shown.map((column) => (row.cells[column] ? parts(row.cells[column]) : { value: "" })));
  const names = ["value", "low", "high", "of"];
  const used = shown.map((_, i) => names.filter((name) => name === "value" || cells.slice(1).some((row) => row[i][name])));
  const line = (row, name) => used.flatMap((own, i) => own.map((part) => quoted(name(row[i], part)))).join(",");
  const head = line(cells[0], (cell, part) => (part === "value" ? cell.value : `${cell.value} ${part}`));
  return [head, ...cells.slice(1).map((row) => line(row, (cell, part) => cell[part] ?? ""))].join("\n") + "\n";
}

function save(name, text) {
  const link = make("a", { href: URL.createObjectURL(new Blob([text], { type: "text/csv" })), download: name });
  link.click();
  URL.revokeObjectURL(link.href);
}

function addTools(table) {
  const region = table.closest(".scroll");
  const own = region.previousElementSibling;
  const tools = own?.matches("[role=group]") ? own : make("div", { class: "tools" });
  const download = button("csv", () => save(`${table.dataset.name}.csv`, csv(table)));
  download.setAttribute("aria-label", `csv of the table ${region.getAttribute("aria-label")}`);
  tools.append(download);
  if (tools !== own) region.after(tools);
  if ("columns" in table.dataset) addColumns(table, tools);
  if ("sorted" in table.dataset) addSorting(table);
}

// ---- a pair alone: the page's address names it

const pairs = [...document.querySelectorAll(".gallery > li")];
const title = make("h2", { id: "pair-title" });
const steps = make("div", { class: "tools" });
const alone = make("div");
const dialog = make("dialog", { "aria-labelledby": "pair-title" }, title, steps, alone);

/** Those among which one goes on: the listed ones, or all where a link led to one that is not. */
function among(pair) {
  const listed = pairs.filter((one) => !one.classList.contains("off"));
  return listed.includes(pair) ? listed : pairs;
}

function step(text, pair) {
  return pair ? make("a", { href: `#${pair.id}`, rel: text }, text) : make("span", { class: "soft" }, text);
}

function showPair() {
  const pair = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!pairs.includes(pair)) return dialog.close();
  const list = among(pair);
  const at = list.indexOf(pair);
  title.textContent = pair.querySelector("strong").textContent;
  const close = button("Close", () => dialog.close());
  const place = make("span", {}, `${at + 1} of ${list.length}`);
  steps.replaceChildren(step("previous", list[at - 1]), step("next", list[at + 1]), place, close);
  alone.replaceChildren(...[...pair.children].map((part) => part.cloneNode(true)));
  const [images, details] = [alone.querySelector(".scroll"), alone.querySelector("details")];
  images.querySelector("a").replaceWith(make("div", { class: "picture" }, ...images.querySelector("a").childNodes));
  images.tabIndex = 0;
  details.replaceWith(...[...details.childNodes].filter((part) => part.nodeName !== "SUMMARY"));
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
  (steps.querySelector(`[rel="${showPair.by ?? "next"}"]`) ?? close).focus();
}

function addPairs() {
  if (!pairs.length) return;
  document.body.append(dialog);
  window.addEventListener("hashchange", showPair);
  dialog.addEventListener("close", () => {
    const left = pairs.find((pair) => `#${pair.id}` === location.hash);
    if (!left) return;
    history.replaceState(null, "", "#pairs");
    left.querySelector("a").focus();
  });
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
    showPair.by = event.target.rel ?? showPair.by;
  });
  dialog.addEventListener("keydown", (event) => {
    const way = { ArrowLeft: "previous", ArrowRight: "next" }[event.key];
    if (way && !event.target.closest(".scroll, pre")) steps.querySelector(`[rel="${way}"]`)?.click();
  });
  if (location.hash) showPair();
}

// ---- charts: what their marks say, by the pointer or the arrow keys

const REACH = 3; // percent of the width

function addMarks(chart) {
  const marks = JSON.parse(chart.dataset.marks);
  if (!marks.length) return;
  const dot = make("i", { hidden: "" });
  const said = make("output", {}, "Point at a mark, or go through them with the arrow keys, to read its number.");
  const region = chart.closest(".scroll");
  chart.append(dot);
  region.after(said);
  let at = -1;
  function show(next) {
    at = next;
    const [left, top, text] = marks[at];
    Object.assign(dot.style, { left: `${left}%`, top: `${top}%` });
    dot.hidden = false;
    said.value = text;
  }
  chart.addEventListener("pointermove", (event) => {
    const box = chart.getBoundingClientRect();
    const away = ([left, top]) => Math.hypot((left / 100) * box.width + box.x - event.clientX,
      (top / 100) * box.height + box.y - event.clientY);
    const nearest = marks.reduce((best, mark, i) => (away(mark) < away(marks[best]) ? i : best), 0);
    if (away(marks[nearest]) < (REACH / 100) * box.width && nearest !== at) show(nearest);
  });
  region.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    show((at + step + marks.length) % marks.length);
    dot.scrollIntoView({ block: "nearest", inline: "center" });
  });
}

document.querySelectorAll(".chart").forEach(addMarks);
document.querySelectorAll("[data-filters]").forEach(addFilters);
document.querySelectorAll("table").forEach(addTools);
addPairs();
