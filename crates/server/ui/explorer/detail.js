// The drawer: how one tie came to its trust, how a path came to its score, who a person is.

import { anyone, entity, metrics, neighbors, relationship } from "./api.js";
import { avatar, bar, h } from "./dom.js";
import { ago, count, date, exact, hundred, plural, trend } from "./words.js";

const drawer = document.getElementById("drawer");
let turn = 0;

drawer.addEventListener("click", (event) => {
  // The dialog itself is only hit where nothing of it is: on the backdrop.
  if (event.target === drawer) drawer.close();
});

/** Opens the drawer, shows `waiting`, then what `load` answers; a later call wins. */
async function open(title, load) {
  const mine = ++turn;
  const body = h("div", { class: "drawer-body", "aria-busy": "true" }, h("div", { class: "skeleton tall" }));
  drawer.replaceChildren(
    h("div", { class: "drawer-head" },
      h("h2", { id: "drawer-title", dir: "auto", tabindex: "-1" }, title),
      h("button", { class: "close", type: "button", "aria-label": "Close", onclick: () => drawer.close() }, "✕")),
    body);
  if (!drawer.open) drawer.showModal();
  // A reader begins at the title, also when one drawer leads to another.
  document.getElementById("drawer-title").focus();
  drawer.scrollTop = 0;
  let content;
  try {
    content = await load();
  } catch (error) {
    content = [h("p", { class: "message", role: "alert" },
      error.status === 404 ? "This is no longer there, or it is not for everyone to see." : error.message)];
  }
  if (mine !== turn) return;
  body.removeAttribute("aria-busy");
  body.replaceChildren(...content.flat(Infinity).filter(Boolean));
}

export const close = () => drawer.open && drawer.close();

function copyable(text, what) {
  const button = h("button", { class: "copy", type: "button", "aria-label": `Copy the ${what}` }, "Copy");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Select it";
    }
    setTimeout(() => (button.textContent = "Copy"), 1600);
  });
  return h("div", { class: "copyable" }, h("code", {}, text), button);
}

const fact = (name, value) => (value === null || value === undefined || value === "" ? null : [h("dt", {}, name), h("dd", {}, value)]);

/** One row of a waterfall: the bar runs from what it was to what it became. */
function step(name, note, sign, value, before, after) {
  const [low, high] = before === null ? [0, after] : [Math.min(before, after), Math.max(before, after)];
  const kind = before === null ? "start" : after < before - 1e-9 ? "less" : after > before + 1e-9 ? "more" : "same";
  return row(kind, [name, h("small", {}, note)], `${sign}${exact(value)}`, low, high, after);
}

// The roles are said again, because the rows are laid out as grids.
const row = (kind, name, value, low, high, result) => h("tr", { role: "row", class: kind },
  h("th", { role: "rowheader", scope: "row" }, name),
  h("td", { role: "cell", class: "num" }, value),
  h("td", { role: "cell", class: "num sum" }, exact(result)),
  h("td", { class: "fall", "aria-hidden": "true" },
    h("span", { vars: { left: `${Math.min(99.4, low * 100)}%`, width: `${Math.max(0.6, (high - low) * 100)}%` } })));

function table(caption, rows, total) {
  return h("table", { class: "waterfall", role: "table", "aria-label": caption },
    h("tbody", { role: "rowgroup" }, rows),
    h("tfoot", { role: "rowgroup" }, row("total", total.name, "", 0, total.value, total.value)));
}

function waterfall(record) {
  if (!record.trust_factors) return h("p", {}, "It carries no trust at present: refused, or not counted.");
  const { s, d, v, g, m } = record.trust_factors;
  const aged = s * d;
  const backed = Math.min(1, aged + v);
  const weighed = backed * g;
  return table("How the trust of this tie is reckoned", [
    step("Stated strength", "s, by the owner of the record", "", s, null, s),
    step("Time", `d, last in touch ${ago(record.last_interaction)}`, "× ", d, s, aged),
    step("Verified", "v, by people acquainted with one of the two", "+ ", v, aged, backed),
    step("Backing", "g, what those people say of it", "× ", g, backed, weighed),
    step("Mutual", m < 1 ? "m, only one side states it" : "m, both sides state it", "× ", m, weighed, weighed * m),
  ], { name: "Trust", value: record.trust });
}

function conviction(record) {
  const c = record.conviction ?? {};
  if (!c.attestation_count) {
    return h("div", { class: "conviction" }, h("p", {}, "Nobody else has said anything about this tie yet."));
  }
  const [arrow, word] = trend(c.trend);
  return h("div", { class: "conviction" },
    h("p", { class: "big" }, String(Math.round(c.score)), h("span", { class: "unit" }, " of 100")),
    h("p", {},
      h("span", { class: "trend" }, h("span", { "aria-hidden": "true" }, `${arrow} `), word),
      ` · ${plural(c.attestation_count, "attestation")}`,
      h("small", {}, ["verify", "strengthen", "weaken", "dispute"]
        .filter((kind) => Number.isFinite(c[`${kind}_count`]))
        .map((kind) => `${count(c[`${kind}_count`])} ${kind}`).join(", "))));
}

const SIGNED = {
  none: null,
  partial: "by one side",
  mutual: "by both sides",
  invalid: "with a signature that does not hold",
};

/** How one tie came to its trust. */
export function showHop(hop) {
  return open("A tie", async () => {
    const record = await relationship(hop.relationship_id);
    const other = record.participants.find((did) => did !== record.owner) ?? record.participants[1];
    const [owner, subject] = await Promise.all([anyone(record.owner), anyone(other)]);
    document.getElementById("drawer-title").textContent = `${owner.label} and ${subject.label}`;
    return [
      h("p", { class: "lead" },
        h("span", { dir: "auto" }, owner.label), ` states a ${record.type} tie of strength `,
        h("strong", {}, hundred(record.strength)), "."),
      record.context ? h("blockquote", { dir: "auto" }, record.context) : null,
      record.visibility === "network" && !record.context
        ? h("p", { class: "aside" }, "What they write about it is shown to their own network only.") : null,
      h("h3", {}, "What others say of it"), conviction(record),
      h("h3", {}, "How much it carries"), waterfall(record),
      record.trust_factors ? h("p", { class: "formula" }, "t = min(1, s·d + v) · g · m") : null,
      h("h3", {}, "The record"), copyable(record.uri, "record’s address"),
      h("dl", { class: "facts" },
        fact("Stated by", record.mutual ? "both of them" : "one of them"),
        fact("Signed", SIGNED[record.signature_status]),
        fact("Source", record.verified_source ? "commit checked against the repository’s key" : "not checked against the repository’s key"),
        fact("Known since", record.start_date ? date(record.start_date) : null),
        fact("Last in touch", record.last_interaction ? `${date(record.last_interaction)} (${ago(record.last_interaction)})` : "unknown"),
        fact("Visible to", record.visibility === "public" ? "everyone" : record.visibility),
        fact("Consent", record.consent),
        fact("Revision", record.rev), fact("CID", record.cid)),
    ];
  });
}

/** How a path came to its score: the product of its ties. */
export function showPath(path, name, onHop) {
  return open(`${name}: ${hundred(path.total)} of 100`, async () => {
    const people = await Promise.all(path.people.map(anyone));
    let running = 1;
    const rows = path.hops.map((hop, i) => {
      const before = i === 0 ? null : running;
      running *= hop.trust;
      return step(`${people[i].label} – ${people[i + 1].label}`, `strength ${hundred(hop.strength)}, ${hop.type}`, i ? "× " : "", hop.trust, before, running);
    });
    return [
      h("p", { class: "lead" }, "The trust of a path is the product of the trust of its ties: every hand it passes through costs some."),
      table("How the trust of this path is reckoned", rows, { name: "Path", value: path.total }),
      h("h3", {}, "The records behind it"),
      h("ul", { class: "records" }, path.hops.map((hop, i) => h("li", {},
        h("button", { type: "button", class: "link", onclick: () => onHop(hop) }, `${people[i].label} – ${people[i + 1].label}`),
        h("code", {}, hop.relationship_id)))),
    ];
  });
}

const SCORES = [
  ["reputation", "Reputation", "what others state of them"],
  ["reciprocity", "Reciprocity", "how many of their ties are mutual"],
  ["consistency", "Consistency", "how many are recent"],
  ["verification_ratio", "Verification", "how many are well backed"],
  ["network", "Network", "who stands around them"],
];

/** Who a person is, and what the network makes of them. */
export function showPerson(did, onSide) {
  return open("A person", async () => {
    const who = await entity(did);
    document.getElementById("drawer-title").textContent = who.label;
    const [scores, close] = await Promise.all([
      metrics(did).catch(() => null),
      neighbors(did, 6).catch(() => []),
    ]);
    const friends = await Promise.all(close.map(async (tie) => ({ ...tie, entity: await anyone(tie.entity_id) })));
    return [
      h("div", { class: "person-head" }, avatar(who, "large"), h("div", {},
        who.handle && who.handle !== "handle.invalid" ? h("p", { class: "handle" }, `@${who.handle}`) : null,
        h("p", { class: "aside" }, [who.type !== "person" ? who.type : null, who.verified ? "says it is verified" : null].filter(Boolean).join(" · ")))),
      who.bio ? h("p", { class: "lead", dir: "auto" }, who.bio) : null,
      h("div", { class: "sides" },
        h("button", { type: "button", class: "quiet", onclick: () => onSide("from", who) }, "Start here"),
        h("button", { type: "button", class: "quiet", onclick: () => onSide("to", who) }, "End here")),
      scores ? [
        h("h3", {}, "Trust"),
        h("p", { class: "big" }, hundred(scores.trust_score), h("span", { class: "unit" }, " of 100")),
        h("dl", { class: "scores" }, SCORES.filter(([key]) => Number.isFinite(scores[key])).map(([key, name, note]) => [
          h("dt", {}, name, h("small", {}, note)),
          h("dd", {}, bar(scores[key]), h("span", { class: "num" }, hundred(scores[key]))),
        ])),
        h("p", { class: "aside" }, `${plural(scores.relationship_count, "relationship")}, ${count(scores.verified_relationship_count)} of them verified.`),
      ] : h("p", { class: "aside" }, "Their scores could not be loaded."),
      friends.length ? [
        h("h3", {}, "Closest"),
        h("ul", { class: "friends" }, friends.map((tie) => h("li", {}, h("button", {
          type: "button", onclick: () => showPerson(tie.entity_id, onSide),
        }, avatar(tie.entity), h("span", { class: "name", dir: "auto" }, tie.entity.label),
        h("span", { class: "aside" }, tie.type), h("span", { class: "num", title: "trust" }, hundred(tie.trust)))))),
      ] : null,
      h("h3", {}, "Identifier"), copyable(who.did, "DID"),
    ];
  });
}
