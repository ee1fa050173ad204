// Draws the paths that were found, and a hop around them: from one person on the left (on narrow
// screens: at the top) to the other on the right. The cards say the same in words; this is a
// picture of them and takes no focus.

import { hash, initials, s } from "./dom.js";
import { hundred } from "./words.js";

/** Which lane each path takes: the best one straight through the middle. */
const LANES = [0, -1, 1];
const RADIUS = 17;

/** Places the people of the paths. `size` is {width, height, tall}. */
function layers(paths, size) {
  const nodes = new Map();
  paths.forEach((path, p) => {
    const last = path.people.length - 1;
    path.people.forEach((did, i) => {
      const node = nodes.get(did) ?? { did, at: [], lane: i === 0 || i === last ? 0 : LANES[p], paths: new Set() };
      node.at.push(i / last);
      node.paths.add(p);
      nodes.set(did, node);
    });
  });
  const lanes = Math.max(...[...nodes.values()].map((node) => Math.abs(node.lane)));
  const along = (size.tall ? size.height : size.width) - 2 * 64;
  const across = size.tall ? size.width : size.height;
  const gap = lanes ? Math.min(size.tall ? 112 : 150, across / 2 - 66) : 0;
  for (const node of nodes.values()) {
    const u = 64 + along * (node.at.reduce((a, b) => a + b) / node.at.length);
    const v = across / 2 + node.lane * gap;
    [node.x, node.y] = size.tall ? [v, u] : [u, v];
  }
  // Two who fell on one spot of a lane are moved apart along it.
  const all = [...nodes.values()];
  for (let round = 0; round < 40; round++) {
    for (const a of all) {
      for (const b of all) {
        if (a === b || a.lane !== b.lane) continue;
        const axis = size.tall ? "y" : "x";
        const d = b[axis] - a[axis];
        const want = size.tall ? 88 : 84;
        if (d >= 0 && d < want) {
          const push = (want - d) / 4;
          const end = (node) => node.at.every((u) => u === 0 || u === 1);
          if (!end(a)) a[axis] -= push;
          if (!end(b)) b[axis] += push;
        }
      }
    }
  }
  return nodes;
}

/** Places acquaintances around the people of the paths: springs and repulsion, no randomness. */
function scatter(nodes, near, size) {
  const dots = new Map();
  for (const [did, others] of near) {
    const center = nodes.get(did);
    if (!center) continue;
    others.forEach((other) => {
      if (nodes.has(other.entity_id)) return;
      const dot = dots.get(other.entity_id) ?? { did: other.entity_id, ties: [], x: 0, y: 0 };
      const angle = (hash(other.entity_id, 628)) / 100;
      dot.ties.push(center);
      dot.x = center.x + 60 * Math.cos(angle);
      dot.y = center.y + 60 * Math.sin(angle);
      dots.set(other.entity_id, dot);
    });
  }
  const all = [...dots.values()];
  const fixed = [...nodes.values()];
  for (let round = 0; round < 140; round++) {
    for (const dot of all) {
      let [fx, fy] = [0, 0];
      for (const tie of dot.ties) {
        const [dx, dy] = [tie.x - dot.x, tie.y - dot.y];
        const d = Math.hypot(dx, dy) || 1;
        fx += (dx / d) * (d - 66) * 0.06;
        fy += (dy / d) * (d - 66) * 0.06;
      }
      const away = (x, y, reach, force) => {
        const [dx, dy] = [dot.x - x, dot.y - y];
        const d = Math.hypot(dx, dy) || 1;
        if (d < reach) {
          fx += (dx / d) * (reach - d) * force;
          fy += (dy / d) * (reach - d) * force;
        }
      };
      for (const other of all) if (other !== dot) away(other.x, other.y, 34, 0.25);
      for (const node of fixed) {
        away(node.x, node.y, 50, 0.3);
        // The name stands below the node.
        away(node.x, node.y + 36, 40, 0.35);
      }
      dot.x = Math.max(8, Math.min(size.width - 8, dot.x + fx));
      dot.y = Math.max(8, Math.min(size.height - 8, dot.y + fy));
    }
  }
  return all;
}

const curve = (a, b, tall) => (tall
  ? `M${a.x} ${a.y}C${a.x} ${(a.y + b.y) / 2} ${b.x} ${(a.y + b.y) / 2} ${b.x} ${b.y}`
  : `M${a.x} ${a.y}C${(a.x + b.x) / 2} ${a.y} ${(a.x + b.x) / 2} ${b.y} ${b.x} ${b.y}`);

/** A name on two lines at most, each cut where it would not fit. */
function nameLines(entity) {
  const words = entity.label.split(/\s+/u);
  const lines = words.length > 1 ? [words[0], words.slice(1).join(" ")] : words;
  return lines.map((line) => (line.length > 14 ? `${line.slice(0, 13)}…` : line));
}

/** The name below its node; beside it where the way runs downwards through the middle. */
function name(entity, node, r, beside) {
  const lines = nameLines(entity);
  const x = beside ? node.x + r + 8 : node.x;
  const y = beside ? node.y + 4 - (lines.length - 1) * 7 : node.y + r + 15;
  return s("text", { class: `name ${beside ? "beside" : ""}`, x, y }, lines.map((line, i) => s("tspan", { x, dy: i ? 14 : 0 }, line)));
}

/**
 * Draws into `svg`. `paths` are {people: [did], hops, weakest}; `near` maps a DID to neighbours;
 * `look` gives {entity(did), chosen, onPerson(did), onHop(hop), nameOf(did) → Promise}.
 */
export function draw(svg, paths, near, look) {
  const width = Math.max(280, svg.clientWidth || svg.parentElement.clientWidth);
  const longest = Math.max(...paths.map((path) => path.hops.length));
  const tall = width < 560;
  const size = { width, tall, height: tall ? Math.max(360, 128 + longest * 92) : paths.length > 1 ? 480 : 320 };
  svg.setAttribute("viewBox", `0 0 ${size.width} ${size.height}`);
  svg.setAttribute("height", String(size.height));

  const nodes = layers(paths, size);
  const dots = scatter(nodes, near, size);
  const around = s("g");
  const ties = s("g");
  const marks = s("g");

  for (const dot of dots) {
    for (const tie of dot.ties) around.append(s("path", { class: "hair", d: `M${tie.x} ${tie.y}L${dot.x} ${dot.y}` }));
    const title = s("title");
    const load = async () => {
      if (!title.textContent) title.textContent = await look.nameOf(dot.did);
    };
    around.append(s("g", { class: "dot", onpointerenter: load, onclick: () => look.onPerson(dot.did) },
      s("circle", { class: "hit", cx: dot.x, cy: dot.y, r: 11 }),
      s("circle", { cx: dot.x, cy: dot.y, r: 4 }), title));
  }

  // The chosen path last, so that it lies on top.
  const order = paths.map((_, p) => p).sort((a, b) => (a === look.chosen) - (b === look.chosen));
  const drawn = new Set();
  for (const p of [...order].reverse()) {
    const path = paths[p];
    path.hops.forEach((hop, i) => {
      if (drawn.has(hop.relationship_id)) return;
      drawn.add(hop.relationship_id);
      const [a, b] = [nodes.get(path.people[i]), nodes.get(path.people[i + 1])];
      const d = curve(a, b, tall);
      const on = p === look.chosen;
      const weak = i === path.weakest && path.hops.length > 1;
      const group = s("g", { class: `tie ${on ? "on" : ""} ${weak ? "weak" : ""}`, onclick: () => look.onHop(hop) },
        s("path", { class: "line", d, "stroke-width": (1.5 + 5 * hop.trust).toFixed(1) }),
        s("path", { class: "hit", d }),
        s("title", {}, `${look.entity(hop.from).label} – ${look.entity(hop.to).label}: strength ${hundred(hop.strength)}, trust ${hundred(hop.trust)}${weak ? ", weakest link" : ""}`));
      if (on) {
        // The curve is symmetric about its middle.
        const [x, y] = [(a.x + b.x) / 2, (a.y + b.y) / 2];
        group.append(s("g", { class: "pill" },
          s("rect", { x: x - 15, y: y - 11, width: 30, height: 22, rx: 11 }),
          s("text", { x, y: y + 4.5 }, hundred(hop.strength))));
        ties.append(group);
      } else {
        ties.prepend(group);
      }
    });
  }

  for (const node of nodes.values()) {
    const entity = look.entity(node.did);
    const end = node.at.every((u) => u === 0 || u === 1);
    const on = node.paths.has(look.chosen);
    const r = end ? RADIUS + 4 : RADIUS;
    marks.append(s("g", { class: `node ${end ? "end" : ""} ${on ? "on" : ""}`, onclick: () => look.onPerson(node.did) },
      s("circle", { cx: node.x, cy: node.y, r }),
      s("text", { class: "initials", x: node.x, y: node.y + 4 }, initials(entity.label)),
      name(entity, node, r, size.tall && node.lane === 0),
      s("title", {}, entity.label)));
  }
  svg.replaceChildren(around, ties, marks);
}
