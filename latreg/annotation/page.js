"use strict";
// One picture at a time: class, plausible or not, how sure. The last of the three sends the answer; the server says
// which pictures have one, so that several tabs go on together.

const element = (id) => document.getElementById(id);
const SURE = [["j", "guessed", 1], ["k", "fairly sure", 2], ["l", "sure", 3]];
const NONE = null;
const LETTERS = "abcdefghimoqrstvwxyz"; // of classes beyond the ten digits; the others have a meaning

const SIZE = 320; // of the picture on the screen, at most; on a phone 70 % of the width

const picture = Object.assign(new Image(SIZE, SIZE), { id: "picture", alt: "The picture to name" });
let study = null; // class_names, order, answered
let annotator = "";
let shown = null; // id of the picture
let named; // class number, NONE, or undefined while nothing is chosen
let waiting = false;

function classKey(number) {
  return number < 10 ? String(number) : LETTERS[number - 10];
}

function button(text, key, action) {
  const made = document.createElement("button");
  made.type = "button";
  made.append(text);
  if (key) made.dataset.key = key;
  if (key && key !== text) {
    const hint = document.createElement("kbd");
    hint.textContent = key;
    made.append(" ", hint);
  }
  made.addEventListener("click", action);
  return made;
}

async function ask(method, path, content) {
  const options = { method };
  if (content) {
    options.headers = { "Content-Type": "application/json" };
    options.body = JSON.stringify(content);
  }
  const response = await fetch(path, options);
  const answer = await response.json().catch(() => ({ error: "the server has gone" }));
  if (!response.ok) throw new Error(answer.error);
  return answer;
}

async function attempt(action) {
  if (waiting) return;
  waiting = true;
  element("error").textContent = "";
  try {
    await action();
  } catch (error) {
    element("error").textContent = `Not saved: ${error.message}. Try again.`;
  } finally {
    waiting = false;
  }
}

/** Each pixel becomes a square of as many pixels of the page as fit. */
function enlarge() {
  const room = Math.min(SIZE, 0.7 * document.documentElement.clientWidth);
  const times = Math.max(1, Math.floor(room / picture.naturalWidth));
  picture.width = times * picture.naturalWidth;
  picture.height = times * picture.naturalHeight;
}

const address = (id) => `images/${encodeURIComponent(id)}`;

function choose(number) {
  named = number;
  for (const one of element("classes").children) {
    one.setAttribute("aria-pressed", String(one.dataset.number === String(number)));
  }
  for (const one of element("sure").children) one.disabled = false;
}

function show(id) {
  shown = id;
  named = undefined;
  element("plausible").checked = true;
  for (const one of element("classes").children) one.setAttribute("aria-pressed", "false");
  for (const one of element("sure").children) one.disabled = true;
  picture.src = address(id);
}

function goOn() {
  const answered = new Set(study.answered);
  const next = study.order.find((id) => !answered.has(id));
  const count = `${answered.size} of ${study.order.length}`;
  element("progress").textContent = `${count} pictures are done.`;
  element("bar").max = study.order.length;
  element("bar").value = answered.size;
  element("undo").disabled = answered.size === 0;
  element("work").hidden = next === undefined;
  element("done").hidden = next !== undefined;
  if (next !== undefined) show(next);
}

const save = (sure) => attempt(async () => {
  if (named === undefined || shown === null) return;
  await picture.decode().catch(() => {
    picture.src = address(shown); // for when the server is back
    throw new Error("the picture cannot be loaded");
  });
  const answer = { annotator, item: shown, named, plausible: element("plausible").checked, sure };
  study.answered = (await ask("PUT", "answer", answer)).answered;
  goOn();
});

const undo = () => attempt(async () => {
  const last = study.answered.at(-1);
  if (last === undefined) return;
  study.answered = (await ask("DELETE", "answer", { annotator, item: last })).answered;
  goOn();
  element("work").hidden = false;
  element("done").hidden = true;
  show(last);
});

function setUp() {
  const classes = study.class_names.map((name, number) => {
    const made = button(name, classKey(number), () => choose(number));
    made.dataset.number = String(number);
    return made;
  });
  const none = button("none of them", "n", () => choose(NONE));
  none.dataset.number = String(NONE);
  element("classes").replaceChildren(...classes, none);
  element("frame").replaceChildren(picture);
  element("sure").replaceChildren(...SURE.map(([key, text, sure]) => button(text, key, () => save(sure))));
}

element("begin").addEventListener("submit", (event) => {
  event.preventDefault();
  attempt(async () => {
    annotator = element("annotator").value.trim();
    study = await ask("GET", `study?annotator=${encodeURIComponent(annotator)}`);
    setUp();
    element("begin").hidden = true;
    goOn();
  });
});

picture.addEventListener("load", enlarge);
picture.addEventListener("error", () => {
  element("error").textContent = "The picture cannot be loaded. Is the server still running?";
});
window.addEventListener("resize", enlarge);
element("undo").addEventListener("click", undo);
element("undo-last").addEventListener("click", undo);

document.addEventListener("keydown", (event) => {
  if (!study || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  const key = event.key.toLowerCase();
  if (key === "u") {
    undo();
  } else if (key === "p" && !element("work").hidden) {
    element("plausible").checked = !element("plausible").checked;
  } else if (!element("work").hidden) {
    const pressed = document.querySelector(`#work button[data-key="${CSS.escape(key)}"]:not(:disabled)`);
    if (pressed) pressed.click();
  }
});
