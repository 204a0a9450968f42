// Keeps the live part of the console as the stack has it. The page works without this.
// What is there already is changed in place, so what the reader opened, focused, typed or scrolled to stays.

const PAUSE = 1000;
const SHOWN = 8000; // so long a message stays that is no problem
const live = () => document.getElementById("live");
const main = document.getElementById("main");

function selecting() {
  const selection = getSelection();
  return !selection.isCollapsed && live().contains(selection.anchorNode);
}

// -- changing in place

function attributes(old, fresh) {
  for (const { name } of [...old.attributes]) {
    const readersOwn = (name === "open" && old.localName === "details") || name === "aria-busy" || name === "disabled";
    if (!readersOwn && !fresh.hasAttribute(name)) old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
}

const alike = (old, fresh) => old && !old.id && old.nodeType === fresh.nodeType && old.nodeName === fresh.nodeName;

function children(old, fresh) {
  const coming = new Set([...fresh.children].map((child) => child.id));
  for (const child of [...old.children]) if (child.id && !coming.has(child.id)) child.remove();
  const known = new Map([...old.children].map((child) => [child.id, child]));
  let here = old.firstChild;
  for (const next of [...fresh.childNodes]) {
    const match = next.id ? known.get(next.id) : alike(here, next) && here;
    if (match && match === here) here = here.nextSibling;
    else old.insertBefore(match || next, here);
    if (match) update(match, next);
  }
  while (here) {
    const gone = here;
    here = here.nextSibling;
    gone.remove();
  }
}

function update(old, fresh) {
  if (old.isEqualNode(fresh)) return;
  if (fresh.dataset?.inside !== undefined && old.dataset.inside) {
    // What was loaded into it is the reader's. If it has changed since, it is loaded anew.
    if (old.dataset.inside !== source(fresh)) load(old, source(fresh));
    return;
  }
  if (old.nodeType !== Node.ELEMENT_NODE) {
    old.data = fresh.data;
    return;
  }
  attributes(old, fresh);
  children(old, fresh);
}

// -- what is loaded when it is opened

const source = (place) => place.querySelector("a").getAttribute("href");

// `data-inside` is empty until something was loaded, and then its address.
async function load(place, where) {
  place.dataset.inside = where;
  const answer = await fetch(where);
  if (answer.ok) place.replaceChildren(...new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("inside").childNodes);
  else place.textContent = "It is not there any more.";
}

function opened(details) {
  const place = details.querySelector(":scope > [data-inside]");
  if (details.open && place && !place.dataset.inside) load(place, source(place));
}

document.addEventListener("toggle", (event) => opened(event.target), true);

// -- saying what was done, where the reader is

function passes(said) {
  setTimeout(() => said.contains(document.activeElement) || said.remove(), SHOWN);
}

function toast({ note, problem, more }) {
  const place = document.getElementById("toasts");
  const said = document.createElement("div");
  said.className = problem ? "toast bad" : "toast";
  said.setAttribute("role", problem ? "alert" : "status");
  said.id = problem ? "problem" : "note";
  const words = document.createElement("p");
  words.textContent = problem || note;
  const close = Object.assign(document.createElement("button"), { className: "plain tiny", textContent: "Close" });
  close.addEventListener("click", () => said.remove());
  said.append(words);
  if (more) {
    const behind = document.createElement("details");
    behind.className = "small soft";
    behind.append(Object.assign(document.createElement("summary"), { textContent: "What is behind it" }), more);
    said.append(behind);
  }
  said.append(close);
  place.replaceChildren(said);
  if (!problem) passes(said);
}

async function send(form, button) {
  const body = new URLSearchParams(new FormData(form, button));
  button.setAttribute("aria-busy", "true");
  button.disabled = true;
  let leaves = false;
  try {
    const answer = await fetch(form.action, { method: "POST", body, headers: { Accept: "application/json" } });
    const said = await answer.json();
    leaves = Boolean(said.go);
    if (leaves) location.assign(said.go);
    else toast(said);
  } catch {
    toast({ problem: "The stack does not answer. Is it still running?" });
  }
  if (leaves) return;
  button.removeAttribute("aria-busy");
  button.disabled = false;
  button.focus({ preventScroll: true });
}

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method !== "post") return;
  event.preventDefault();
  if (form.dataset.ask && !confirm(form.dataset.ask)) return;
  send(form, event.submitter ?? form.querySelector("button"));
});

// -- filters, and how far back the events go: the address keeps them

function filtered(further = new URLSearchParams(location.search).get("before")) {
  const given = [...new FormData(document.getElementById("filters"))].filter(([, value]) => value);
  if (further) given.push(["before", further]);
  return given.length ? `?${new URLSearchParams(given)}` : "";
}

document.addEventListener("input", ({ target }) => {
  if (target.closest("#filters")) history.replaceState(null, "", location.pathname + filtered(null) + location.hash);
});
document.addEventListener("submit", (event) => event.target.id === "filters" && event.preventDefault());

// -- asking

let version = `"${main.dataset.version}"`;

async function look() {
  const answer = await fetch(`/console/state${filtered()}`, { headers: { "If-None-Match": version }, cache: "no-store" });
  if (!answer.ok && answer.status !== 304) throw new Error(answer.statusText);
  document.getElementById("stripe-time").textContent = answer.headers.get("X-Stripe-Time");
  if (answer.status === 304) return;
  const text = await answer.text();
  if (selecting()) return; // the version stays the old one: it comes again
  update(live(), new DOMParser().parseFromString(text, "text/html").getElementById("live"));
  version = answer.headers.get("ETag");
}

async function follow() {
  const lost = document.getElementById("connection");
  try {
    if (!document.hidden) await look();
    if (!lost.hidden) lost.hidden = true;
  } catch {
    if (lost.hidden) lost.hidden = false;
  }
  setTimeout(follow, PAUSE);
}

// -- what the reader had opened is open again after a form was sent

const KEY = "console";
const filter = () => document.getElementById("only-ours");

function remember() {
  const open = [...document.querySelectorAll("details[open][id]")].map((details) => details.id);
  sessionStorage.setItem(KEY, JSON.stringify({ open, ours: filter()?.checked ?? false }));
}

function recall() {
  const { open = [], ours = false } = JSON.parse(sessionStorage.getItem(KEY) ?? "{}");
  for (const id of open) document.getElementById(id)?.setAttribute("open", "");
  for (const details of document.querySelectorAll("details[open]")) opened(details);
  if (filter()) filter().checked = ours;
}

if (document.getElementById("note")) passes(document.getElementById("note"));
addEventListener("pagehide", remember);
recall();
history.replaceState(null, "", location.pathname + filtered() + location.hash); // a word is said once
follow();
