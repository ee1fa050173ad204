// Numbers, dates and sentences as a person would say them.

const language = document.documentElement.lang || "en";
const whole = new Intl.NumberFormat(language);
const relative = new Intl.RelativeTimeFormat(language, { numeric: "auto" });
const day = new Intl.DateTimeFormat(language, { year: "numeric", month: "long", day: "numeric", timeZone: "UTC" });

/** 12,345; a dash for what is unknown. */
export const count = (n) => (Number.isFinite(n) ? whole.format(n) : "–");

/** 0–1 as 0–100, rounded. */
export const hundred = (x) => (Number.isFinite(x) ? String(Math.round(x * 100)) : "–");

/** 0–1 with three decimals, for sums that one recomputes by hand. */
export const exact = (x) => (Number.isFinite(x) ? x.toFixed(3) : "–");

/** "1 hop", "3 hops". */
export const plural = (n, one, many = `${one}s`) => `${count(n)} ${n === 1 ? one : many}`;

/** "12 days ago" for a timestamp; "unknown" where there is none. */
export function ago(text) {
  const time = Date.parse(text ?? "");
  if (Number.isNaN(time)) return "unknown";
  const days = Math.round((time - Date.now()) / 86400000);
  if (days > -1) return "today";
  if (days > -45) return relative.format(days, "day");
  if (days > -548) return relative.format(Math.round(days / 30.44), "month");
  return relative.format(Math.round(days / 365.25), "year");
}

/** "23 November 2026". */
export function date(text) {
  const time = Date.parse(text ?? "");
  return Number.isNaN(time) ? "unknown" : day.format(time);
}

/** What to call an entity: its name, else its handle, else the end of its DID. */
export function label(entity) {
  if (entity.name?.trim()) return entity.name.trim();
  if (entity.handle && entity.handle !== "handle.invalid") return entity.handle;
  const did = entity.did ?? "";
  return did.length > 24 ? `${did.slice(0, 12)}…${did.slice(-6)}` : did;
}

/**
 * A path as a sentence, in parts: strings, and people to be set off as {person}.
 * "Ask Kofi, who knows Mei (75), who knows Jonas (92)."
 */
export function sentence(people, hops) {
  const last = people.length - 1;
  if (last === 1) {
    return [{ person: people[0] }, " and ", { person: people[1] }, ` know each other (${hundred(hops[0].strength)}).`];
  }
  const parts = [{ person: people[0] }, " can ask ", { person: people[1] }, ` (${hundred(hops[0].strength)})`];
  for (let i = 2; i <= last; i++) {
    parts.push(", who knows ", { person: people[i] }, ` (${hundred(hops[i - 1].strength)})`);
  }
  parts.push(".");
  return parts;
}

const TREND = {
  increasing: ["▲", "rising"],
  decreasing: ["▼", "falling"],
  stable: ["▬", "steady"],
};

/** An arrow and a word for a trend, so that neither colour nor shape stands alone. */
export const trend = (name) => TREND[name] ?? ["", "no trend yet"];
