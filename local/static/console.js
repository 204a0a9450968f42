// Keeps the live part of the console as the stack has it. The page works without this.
// What is there already is changed in place, so what the reader opened, focused, typed or scrolled to stays.

const PAUSE = 1000;
const live = () => document.getElementById("live");
const main = document.getElementById("main");

function selecting() {
  const selection = getSelection();
  return !selection.isCollapsed && live().contains(selection.anchorNode);
}

// -- changing in place

function attributes(old, fresh) {
  for (const { name } of [...old.attributes]) {
    const readersOwn = name === "open" && old.localName === "details";
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
  if (old.nodeType !== Node.ELEMENT_NODE) {
    old.data = fresh.data;
    return;
  }
  attributes(old, fresh);
  children(old, fresh);
}

// -- asking

let version = `"${main.dataset.version}"`;

async function look() {
  const answer = await fetch("/console/state", { headers: { "If-None-Match": version }, cache: "no-store" });
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
  if (filter()) filter().checked = ours;
}

addEventListener("pagehide", remember);
recall();
if (location.search) history.replaceState(null, "", location.pathname + location.hash); // a word is said once
follow();
