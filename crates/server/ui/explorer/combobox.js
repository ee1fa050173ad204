// A text field that suggests people: the ARIA combobox pattern with a list box.
// Arrow keys move, Enter takes, Escape closes and then clears; the focus never leaves the field.

import { suggest } from "./api.js";
import { avatar, h } from "./dom.js";
import { plural } from "./words.js";

/** Milliseconds without a key before the server is asked. */
const PAUSE = 120;

export class Combobox {
  #input;
  #list;
  #slot;
  #announce;
  #options = [];
  #active = -1;
  #timer = 0;
  #asked = null;
  /** The entity that was chosen, or null. */
  chosen = null;
  /** Called after a choice by the user. */
  onchoose = () => {};

  constructor(input, announce) {
    this.#input = input;
    this.#list = document.getElementById(input.getAttribute("aria-controls"));
    this.#slot = input.parentElement.querySelector(".slot");
    this.#announce = announce;
    input.addEventListener("input", () => {
      this.#forget();
      this.#later(PAUSE);
    });
    input.addEventListener("focus", () => input.select());
    input.addEventListener("click", () => this.#list.hidden && this.#later(0));
    input.addEventListener("blur", () => this.close());
    input.addEventListener("keydown", (event) => this.#key(event));
    // Pressing the mouse on the list must not take the focus from the field.
    this.#list.addEventListener("mousedown", (event) => event.preventDefault());
  }

  get text() {
    return this.#input.value.trim();
  }

  focus() {
    this.#input.focus();
  }

  /** Shows a choice, without telling anyone. */
  set(entity) {
    this.chosen = entity;
    this.#input.value = entity ? entity.label : "";
    this.#slot.replaceChildren(...(entity ? [avatar(entity)] : []));
    this.#input.parentElement.classList.toggle("chosen", Boolean(entity));
    this.fit();
    this.invalid(false);
    this.close();
  }

  /** Makes a long name smaller rather than cutting it. */
  fit() {
    for (let fit = 1; fit >= 0.5; fit -= 0.05) {
      this.#input.style.setProperty("--fit", this.chosen ? fit.toFixed(2) : "1");
      if (!this.chosen || this.#input.scrollWidth <= this.#input.clientWidth) break;
    }
  }

  invalid(is) {
    if (is) this.#input.setAttribute("aria-invalid", "true");
    else this.#input.removeAttribute("aria-invalid");
  }

  close() {
    clearTimeout(this.#timer);
    this.#asked?.abort();
    this.#list.hidden = true;
    this.#active = -1;
    this.#input.setAttribute("aria-expanded", "false");
    this.#input.removeAttribute("aria-activedescendant");
  }

  /** What was typed, taken as the first suggestion for it; null where there is none. */
  async resolve() {
    if (this.chosen || !this.text) return this.chosen;
    const [first] = await suggest(this.text, undefined, 1);
    if (first) this.set(first);
    return first ?? null;
  }

  #forget() {
    this.chosen = null;
    this.fit();
    this.invalid(false);
    this.#slot.replaceChildren();
    this.#input.parentElement.classList.remove("chosen");
  }

  #later(pause) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#open(), pause);
  }

  async #open() {
    this.#asked?.abort();
    const asked = (this.#asked = new AbortController());
    // A chosen name is no search: show others to change to.
    const text = this.chosen ? "" : this.text;
    try {
      const found = await suggest(text, asked.signal);
      if (asked.signal.aborted || document.activeElement !== this.#input) return;
      this.#show(found, text);
    } catch (error) {
      if (error.name === "AbortError") return;
      this.#show([], text, error.message);
    }
  }

  #show(found, text, failure) {
    this.#options = found;
    this.#active = -1;
    this.#input.removeAttribute("aria-activedescendant");
    this.#list.replaceChildren(...found.map((entity, i) => h("li", {
      role: "option",
      id: `${this.#list.id}-${i}`,
      "aria-selected": "false",
      onclick: () => this.#take(i),
      onmousemove: () => this.#move(i),
    }, avatar(entity), h("span", { class: "who" },
      h("span", { class: "name", dir: "auto" }, entity.label),
      h("span", { class: "handle" }, entity.handle && entity.handle !== "handle.invalid" ? `@${entity.handle}` : entity.did)),
    entity.type && entity.type !== "person" ? h("span", { class: "tag" }, entity.type) : null)));
    if (!found.length) {
      this.#list.append(h("li", { class: "none", role: "option", "aria-disabled": "true" },
        failure ?? `Nobody by the name “${text}”.`));
    }
    this.#list.hidden = false;
    this.#input.setAttribute("aria-expanded", "true");
    this.#announce(failure ?? (found.length ? `${plural(found.length, "suggestion")}.` : "No suggestions."));
  }

  #move(i) {
    const items = this.#list.children;
    items[this.#active]?.setAttribute("aria-selected", "false");
    this.#active = i;
    const item = items[i];
    item.setAttribute("aria-selected", "true");
    item.scrollIntoView({ block: "nearest" });
    this.#input.setAttribute("aria-activedescendant", item.id);
  }

  #take(i) {
    const entity = this.#options[i];
    if (!entity) return;
    this.set(entity);
    this.onchoose(entity);
  }

  #key(event) {
    const open = !this.#list.hidden;
    const n = this.#options.length;
    if (event.isComposing) return;
    switch (event.key) {
      case "ArrowDown":
      case "ArrowUp":
        event.preventDefault();
        if (!open) this.#later(0);
        else if (n && event.key === "ArrowDown") this.#move((this.#active + 1) % n);
        else if (n) this.#move((this.#active <= 0 ? n : this.#active) - 1);
        break;
      case "Enter":
        // With a list open, Enter takes from it; otherwise the form is sent.
        if (open && n && !this.chosen) {
          event.preventDefault();
          this.#take(Math.max(0, this.#active));
        } else if (open && this.#active >= 0) {
          event.preventDefault();
          this.#take(this.#active);
        }
        break;
      case "Escape":
        if (open) {
          event.preventDefault();
          this.close();
        } else if (this.#input.value) {
          event.preventDefault();
          this.set(null);
        }
        break;
      case "Tab":
        if (open && this.#active >= 0) this.#take(this.#active);
        break;
      default:
    }
  }
}
