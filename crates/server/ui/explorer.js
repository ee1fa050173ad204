// The explorer: "How do A and B connect?" One question, up to three answers, and a permalink.
//
// The address holds the state (`/?from=…&to=…&min=…&hops=…`); everything on the page follows it.

import { anyone, entity, findPath, neighbors, stats, suggest } from "./explorer/api.js";
import { Combobox } from "./explorer/combobox.js";
import { close as closeDrawer, showHop, showPath, showPerson } from "./explorer/detail.js";
import { avatar, bar, h, s } from "./explorer/dom.js";
import { draw } from "./explorer/drawing.js";
import { count, hundred, plural, sentence } from "./explorer/words.js";

const $ = (id) => document.getElementById(id);
const announce = (text) => ($("announce").textContent = text);
const from = new Combobox($("from"), announce);
const to = new Combobox($("to"), announce);
const DEFAULTS = { min: "0.5", hops: "6" };
const NAMES = ["Best way", "Second way", "Third way"];
let asked = null;
let redraw = () => {};

// --- The address ---------------------------------------------------------------------------

function address() {
  const query = new URLSearchParams();
  if (from.chosen) query.set("from", from.chosen.did);
  if (to.chosen) query.set("to", to.chosen.did);
  for (const key of ["min", "hops"]) if ($(key).value !== DEFAULTS[key]) query.set(key, $(key).value);
  // A DID in an address is easier to read with its colons.
  const text = query.toString().replaceAll("%3A", ":");
  return text ? `/?${text}` : "/";
}

/** Chooses a value in a list, adding it where it is not one of the usual ones. */
function choose(select, value) {
  if (![...select.options].some((option) => option.value === value)) {
    select.append(new Option(select.id === "hops" ? plural(Number(value), "hop") : hundred(Number(value)), value));
  }
  select.value = value;
}

async function follow() {
  closeDrawer();
  const query = new URLSearchParams(location.search);
  const within = (key, low, high) => {
    const value = Number(query.get(key) ?? DEFAULTS[key]);
    return String(value >= low && value <= high ? value : DEFAULTS[key]);
  };
  choose($("min"), within("min", 0, 1));
  choose($("hops"), within("hops", 1, 10));
  const dids = [query.get("from"), query.get("to")];
  if (!dids[0] && !dids[1]) {
    from.set(null);
    to.set(null);
    asked?.abort();
    document.title = "Rhiz — how do two people connect?";
    return show("intro");
  }
  const mine = (asked = new AbortController());
  waiting();
  const people = await Promise.all(dids.map((did) => did && entity(did).catch((error) => ({ error, did }))));
  if (mine.signal.aborted || asked !== mine) return undefined;
  const missing = people.find((one) => one?.error);
  if (missing) return failed(missing.error, missing.did);
  from.set(people[0] || null);
  to.set(people[1] || null);
  if (people[0] && people[0].did === people[1]?.did) {
    show("intro");
    return note("Choose two different people.");
  }
  note("");
  return people[0] && people[1] ? search() : show("intro");
}

function go(replace = false) {
  const next = address();
  if (next === location.pathname + location.search) return;
  history[replace ? "replaceState" : "pushState"](null, "", next);
}

// --- The question --------------------------------------------------------------------------

$("ask").addEventListener("submit", async (event) => {
  event.preventDefault();
  note("");
  for (const box of [from, to]) {
    try {
      if (!(await box.resolve())) {
        box.invalid(true);
        box.focus();
        return note(box.text ? `Nobody by the name “${box.text}” is known here.` : `Choose the ${box === from ? "first" : "second"} person.`);
      }
    } catch (error) {
      return note(error.message);
    }
  }
  return begin();
});

function begin() {
  note("");
  if (from.chosen.did === to.chosen.did) {
    to.invalid(true);
    to.focus();
    return note("Choose two different people.");
  }
  go();
  return search();
}

from.onchoose = () => (to.chosen ? begin() : to.focus());
to.onchoose = () => (from.chosen ? begin() : from.focus());
for (const id of ["min", "hops"]) $(id).addEventListener("change", () => from.chosen && to.chosen && begin());
for (const id of ["from", "to"]) $(id).addEventListener("input", () => note(""));

$("home").addEventListener("click", (event) => {
  if (event.metaKey || event.ctrlKey || event.shiftKey || event.button) return;
  event.preventDefault();
  if (location.search) history.pushState(null, "", "/");
  follow();
});
addEventListener("popstate", follow);

function note(text) {
  $("note").textContent = text;
}

// --- Surprise me ---------------------------------------------------------------------------

/** A person picked by a random first letter of the DID, so that nobody is favoured by name. */
async function somebody(not) {
  const letter = "abcdefghijklmnopqrstuvwxyz234567"[Math.floor(Math.random() * 32)];
  let found = await suggest(`did:plc:${letter}`, undefined, 50).catch(() => []);
  const fits = (one) => one.type === "person" && one.did !== not;
  if (!found.some(fits)) found = await suggest("", undefined, 100);
  found = found.filter(fits);
  if (!found.length) throw new Error("The network has too few people for a surprise.");
  return found[Math.floor(Math.random() * found.length)];
}

$("surprise").addEventListener("click", async (event) => {
  const button = event.currentTarget;
  button.disabled = true;
  note("");
  try {
    // A surprise should be a happy one: pairs without a path are passed over, three times.
    for (let round = 0; round < 4; round++) {
      const a = await somebody();
      const b = await somebody(a.did);
      from.set(a);
      to.set(b);
      if (round === 3 || (await findPath(a.did, b.did, limits()).then(() => true, (error) => error.code !== "no_path"))) break;
    }
    go();
    await search();
  } catch (error) {
    note(error.message);
  } finally {
    button.disabled = false;
  }
});

// --- The answer ----------------------------------------------------------------------------

const limits = () => ({ min: Number($("min").value), hops: Number($("hops").value) });

function show(what, ...content) {
  $("intro").hidden = what !== "intro";
  $("result").hidden = what === "intro";
  $("result").removeAttribute("aria-busy");
  redraw = () => {};
  $("result").replaceChildren(...content);
}

function waiting() {
  show("result", h("div", { class: "columns" },
    h("div", { class: "cards" }, h("div", { class: "skeleton card" }), h("div", { class: "skeleton card" })),
    h("div", { class: "skeleton figure" })));
  $("result").setAttribute("aria-busy", "true");
}

async function search() {
  asked?.abort();
  const mine = (asked = new AbortController());
  closeDrawer();
  document.title = `${from.chosen.label} – ${to.chosen.label} · Rhiz`;
  // Answers mostly come before an eye notices; only a slow one shows that it is awaited.
  const slow = setTimeout(waiting, 160);
  try {
    const found = await findPath(from.chosen.did, to.chosen.did, limits(), mine.signal);
    const paths = [found, ...(found.alternatives ?? [])].map(asPath(found.from));
    const people = new Map();
    await Promise.all([...new Set(paths.flatMap((path) => path.people))].map(async (did) => people.set(did, await anyone(did))));
    if (asked === mine) answer(paths, people);
  } catch (error) {
    if (error.name !== "AbortError" && asked === mine) failed(error);
  } finally {
    clearTimeout(slow);
  }
}

const asPath = (start) => ({ hops, total_strength: total }) => ({
  hops,
  total,
  people: hops.reduce((dids, hop) => [...dids, hop.from === dids.at(-1) ? hop.to : hop.from], [start]),
  weakest: hops.reduce((least, hop, i) => (hop.trust < hops[least].trust ? i : least), 0),
});

function answer(paths, people) {
  const who = (did) => people.get(did);
  let chosen = 0;
  const near = new Map();
  const person = (did) => showPerson(did, side);
  const picture = s("svg", { role: "img", "aria-label": `${plural(paths.length, "path")} from ${who(paths[0].people[0]).label} to ${who(paths[0].people.at(-1)).label}, drawn; the list holds the same in words.` });
  const cards = paths.map((path, p) => card(path, p));

  function card(path, p) {
    const members = path.people.map(who);
    const select = () => {
      if (chosen === p) return;
      chosen = p;
      cards.forEach((one, i) => {
        one.classList.toggle("on", i === p);
        one.querySelector("h3 button").setAttribute("aria-expanded", String(i === p));
      });
      redraw();
    };
    const steps = members.flatMap((one, i) => [
      h("li", { class: "stop" }, h("button", { type: "button", onclick: () => person(one.did) },
        avatar(one), h("span", { class: "name", dir: "auto" }, one.label),
        one.type !== "person" ? h("span", { class: "tag" }, one.type) : null)),
      i < path.hops.length ? hopRow(path, i) : null,
    ]);
    return h("li", { class: `card ${p === chosen ? "on" : ""}`, onclick: select },
      h("header", {},
        h("h3", {}, h("button", { type: "button", "aria-expanded": String(p === chosen) }, NAMES[p] ?? `Way ${p + 1}`),
          h("small", {}, plural(path.hops.length, "hop"))),
        h("button", { type: "button", class: "score", onclick: () => showPath(path, NAMES[p], showHop) },
          h("strong", {}, hundred(path.total)), h("span", {}, "trust"), h("span", { class: "hidden" }, " of 100; how it is reckoned"))),
      h("p", { class: "say" }, sentence(members, path.hops).map((part) => (part.person ? h("b", { dir: "auto" }, part.person.label) : part))),
      h("div", { class: "chain", "aria-hidden": "true" }, members.flatMap((one, i) => [
        avatar(one),
        i < path.hops.length ? bar(path.hops[i].trust, path.hops[i].strength, i === path.weakest && path.hops.length > 1 ? "weak" : "") : null,
      ])),
      h("ol", { class: "steps" }, steps));
  }

  function hopRow(path, i) {
    const hop = path.hops[i];
    const weak = path.hops.length > 1 && i === path.weakest;
    return h("li", { class: `hop ${weak ? "weak" : ""}` },
      h("button", { type: "button", onclick: () => showHop(hop) },
        h("span", { class: "hidden" }, "tie: strength "), bar(hop.trust, hop.strength),
        h("span", { class: "num" }, hundred(hop.strength)),
        h("span", { class: "kind" }, hop.type, h("span", { class: "hidden" }, `, trust ${hundred(hop.trust)}`)),
        weak ? h("span", { class: "tag" }, "weakest link") : null));
  }

  function side(which, one) {
    closeDrawer();
    (which === "from" ? from : to).set(one);
    begin();
  }

  show("result",
    h("div", { class: "result-head" },
      h("h2", {}, paths.length === 1 ? "There is a way" : `There are ${paths.length} ways`),
      h("div", { class: "tools" },
        h("button", { type: "button", class: "link", onclick: swap }, "Swap"),
        copyLink())),
    h("div", { class: "columns" },
      h("ol", { class: "cards" }, cards),
      h("figure", { class: "drawing" }, picture, h("figcaption", {},
        h("span", { class: "key solid" }, "thicker: more trust"), h("span", { class: "key dashed" }, "weakest link"),
        h("span", { class: "key dot" }, "one hop around")))));
  redraw = () => draw(picture, paths, near, {
    entity: who, chosen, onPerson: person, onHop: showHop, nameOf: async (did) => (await anyone(did)).label,
  });
  redraw();
  const mine = redraw;
  announce(`${plural(paths.length, "way")} found. ${sentence(paths[0].people.map(who), paths[0].hops).map((part) => (part.person ? part.person.label : part)).join("")}`);

  // One hop around the best ways; few requests, and the picture does without those that fail.
  const around = [...new Set(paths.flatMap((path) => path.people))].slice(0, 8);
  Promise.allSettled(around.map(async (did) => near.set(did, (await neighbors(did, 6)).slice(0, 6)))).then(() => redraw === mine && redraw());
}

function swap() {
  const [a, b] = [from.chosen, to.chosen];
  from.set(b);
  to.set(a);
  begin();
}

function copyLink() {
  const button = h("button", { type: "button", class: "link" }, "Copy link");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(location.href);
      button.textContent = "Copied";
      announce("Link copied.");
    } catch {
      button.textContent = "It is in the address bar";
    }
    setTimeout(() => (button.textContent = "Copy link"), 1800);
  });
  return button;
}

// --- No answer -----------------------------------------------------------------------------

function failed(error, did) {
  announce(error.message);
  if (error.code === "no_path") return noPath(error);
  const gone = error.status === 404;
  return show("result", h("div", { class: "message", role: "alert" },
    h("h2", {}, gone ? "Not known here" : "No answer this time"),
    h("p", {}, gone ? `${did ?? "One of the two"} is not in this network, or no longer. Choose someone else.` : error.message),
    gone ? null : h("button", { type: "button", class: "quiet", onclick: follow }, "Try again")));
}

function noPath(error) {
  const now = limits();
  const hint = error.body.relax ?? {};
  // Without hints from the server, the usual ways to ask for less.
  const hinted = Object.keys(hint).length > 0;
  const offers = [];
  const offer = (text, change) => offers.push(h("button", {
    type: "button", class: "quiet",
    onclick: () => {
      for (const [key, value] of Object.entries(change)) choose($(key), String(value));
      begin();
    },
  }, text));
  const weaker = hint.min_strength ?? (hinted ? undefined : [0.3, 0.1, 0].find((x) => x < now.min));
  const longer = hint.max_hops ?? (hinted ? undefined : [6, 8, 10].find((x) => x > now.hops));
  const floor = Math.floor(weaker * 100) / 100;
  if (weaker !== undefined) offer(floor > 0 ? `Accept ties from ${hundred(floor)}, not ${hundred(now.min)}` : "Accept ties of any strength", { min: floor });
  if (longer !== undefined) offer(`Allow ${plural(longer, "hop")}, not ${now.hops}`, { hops: longer });
  if (weaker !== undefined && longer !== undefined && !hinted) offer("Both", { min: floor, hops: longer });
  show("result", h("div", { class: "message" },
    h("h2", {}, "No way within these limits"),
    h("p", {}, h("b", { dir: "auto" }, from.chosen.label), " and ", h("b", { dir: "auto" }, to.chosen.label),
      ` are not connected by ties of at least ${hundred(now.min)} within ${plural(now.hops, "hop")}.`),
    offers.length ? h("p", {}, hinted ? "This would join them:" : "They may be joined by less:") : h("p", {}, "Nothing that is open to everyone joins them yet."),
    h("div", { class: "offers" }, offers)));
}

// --- The network now -----------------------------------------------------------------------

const FIGURES = [
  ["total_entities", "people and groups"],
  ["total_relationships", "relationships"],
  ["mutual_relationships", "of them mutual"],
  ["total_attestations", "attestations"],
  ["verified_entities", "verified"],
  ["avg_trust_score", "average trust", hundred],
];
/** Milliseconds between two looks at the network. */
const PULSE = 5000;
let version = null;

const cells = FIGURES.map(([key, name, form = count]) => {
  const value = h("dd", {}, "–");
  $("figures").append(h("div", {}, h("dt", {}, name), value));
  return { key, value, form };
});

async function pulse() {
  let next = PULSE;
  if (!document.hidden) {
    try {
      const now = await stats();
      for (const { key, value, form } of cells) {
        const text = form(now[key]);
        if (value.textContent === text) continue;
        if (value.textContent !== "–") {
          value.classList.remove("changed");
          // Asking for the layout starts the animation afresh.
          void value.offsetWidth;
          value.classList.add("changed");
        }
        value.textContent = text;
      }
      const moved = version !== null && version !== now.graph_version;
      version = now.graph_version;
      $("live").textContent = moved ? "live" : "up to date";
      $("live").className = `live ${moved ? "moving" : ""}`;
      $("live").title = `Graph version ${version}`;
    } catch (error) {
      $("live").textContent = "not reachable";
      $("live").className = "live off";
      next = (error.body?.wait ?? 15) * 1000;
    }
  }
  setTimeout(pulse, next);
}

// --- Start ---------------------------------------------------------------------------------

let width = innerWidth;
addEventListener("resize", () => {
  if (innerWidth === width) return;
  width = innerWidth;
  requestAnimationFrame(() => {
    from.fit();
    to.fit();
    redraw();
  });
});
follow();
pulse();
