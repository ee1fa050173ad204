// Builds elements. Whatever comes from a record is set as text, never parsed as markup.

const SVG = "http://www.w3.org/2000/svg";

function fill(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key === "vars") for (const [name, v] of Object.entries(value)) node.style.setProperty(name, v);
    else node.setAttribute(key, value === true ? "" : String(value));
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** An HTML element. `vars` sets CSS properties through the CSSOM, which the policy allows. */
export const h = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);

/** An SVG element. */
export const s = (tag, attributes = {}, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

/** A number from 0 to n - 1 that a text always gives. */
export function hash(text, n) {
  let value = 2166136261;
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 16777619);
  // FNV-1a's low bits vary least between similar texts.
  value ^= value >>> 15;
  return (value >>> 0) % n;
}

/** Two letters that stand for a name. */
export function initials(name) {
  const words = name.trim().split(/[\s.\-:]+/u).filter(Boolean);
  const letters = (words.length > 1 ? [words[0], words[words.length - 1]] : words).map((word) => [...word][0] ?? "");
  return letters.join("").toLocaleUpperCase() || "·";
}

/** The round mark of an entity: its picture where the policy lets it load, else initials. */
export function avatar(entity, size = "") {
  const local = /^(data:image\/|\/(?!\/))/.test(entity.avatar_url ?? "");
  return h("span", {
    class: `avatar ${size} ${entity.type === "person" ? "" : "square"}`,
    "aria-hidden": "true",
    vars: { "--hue": String(hash(entity.did, 360)) },
  }, local ? h("img", { src: entity.avatar_url, alt: "" }) : initials(entity.label));
}

/** A bar from 0 to 1 with an optional mark; the number beside it says the same. */
export function bar(value, mark, kind = "") {
  const percent = (x) => `${Math.max(0, Math.min(1, x)) * 100}%`;
  return h("span", { class: `bar ${kind}`, "aria-hidden": "true" },
    mark === undefined ? null : h("span", { class: "bar-mark", vars: { width: percent(mark) } }),
    h("span", { class: "bar-fill", vars: { width: percent(value) } }));
}
