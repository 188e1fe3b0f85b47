"use strict";
/* Confusion matrix: a grid to walk through with the arrow keys; a cell shows its clips. Then the clips to look at. */
(() => {
  const percent = (share) => (share === null || share === undefined ? "?" : (100 * share).toFixed(1) + " %");
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;

  function thumbnail(clip, label) {
    const sprite = clip.s;
    if (!sprite) return element("div", { class: "nothumb", text: clip.e ? "unreadable" : "no picture" });
    const node = element("div", { class: "thumb", role: "img", "aria-label": label });
    node.style.width = sprite.w + "px";
    node.style.height = sprite.h + "px";
    node.style.backgroundImage = `url(${sprite.u})`;
    node.dataset.frames = sprite.n;
    node.dataset.width = sprite.w;
    return node;
  }

  function card(part, clip) {
    const [truth, guess] = [part.classes[clip.t], part.classes[clip.p] ?? "no prediction"];
    const right = clip.t === clip.p;
    const words = right ? `${truth}, ${percent(clip.c)}` : `${truth}, taken for ${guess} (${percent(clip.c)}; own class ${percent(clip.q)})`;
    return element("figure", { class: "card " + (right ? "is-right" : "is-wrong") },
      thumbnail(clip, words),
      element("figcaption", {},
        element("span", { class: right ? "right" : "wrong", text: right ? "right" : "wrong" }), " " + words,
        element("small", { text: clip.n }), ...(clip.e ? [element("small", { text: clip.e })] : [])));
  }

  function cards(part, numbers, most = 60) {
    const list = element("div", { class: "cards" }, ...numbers.slice(0, most).map((i) => card(part, part.clips[i])));
    if (numbers.length > most) list.append(element("p", { class: "quiet", text: `... and ${numbers.length - most} more` }));
    return list;
  }

  function matrix(part, showCell) {
    const { classes, counts } = part;
    const withNothing = counts.some((row) => row[classes.length]);
    const columns = withNothing ? [...classes, "no prediction"] : classes;
    const size = classes.length <= 12 ? "large" : classes.length <= 30 ? "middle" : "small";
    const table = element("table", { class: "matrix " + size, role: "grid", "aria-label": "Confusion matrix: rows are true classes, columns predicted ones" });
    const head = element("tr", {}, element("td", { class: "corner", text: "true ↓  predicted →" }));
    columns.forEach((name) => head.append(element("th", { scope: "col", title: name }, element("span", { text: name }))));
    table.append(element("thead", {}, head));
    const body = element("tbody");
    const cells = counts.map((row, y) => {
      const total = row.reduce((a, b) => a + b, 0);
      const line = element("tr", {}, element("th", { scope: "row", text: classes[y], title: classes[y] }));
      const own = columns.map((name, x) => {
        const share = total ? row[x] / total : 0;
        const words = `${classes[y]} predicted as ${name}: ${row[x]} of ${total} clips (${percent(share)})`;
        const cell = element("td", { role: "gridcell", tabindex: "-1", title: words, "aria-label": words, "data-row": y, "data-column": x });
        cell.style.setProperty("--share", share.toFixed(3));
        cell.className = (x === y ? "diagonal" : row[x] ? "off" : "empty") + (share > 0.55 ? " deep" : "");
        cell.textContent = size === "small" || !row[x] ? "" : row[x];
        line.append(cell);
        return cell;
      });
      body.append(line);
      return own;
    });
    table.append(body);
    let now = [0, 0];
    const go = (y, x) => {
      cells[now[0]][now[1]].tabIndex = -1;
      now = [Math.max(0, Math.min(cells.length - 1, y)), Math.max(0, Math.min(columns.length - 1, x))];
      cells[now[0]][now[1]].tabIndex = 0;
    };
    go(0, 0);
    const moves = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    table.addEventListener("keydown", (event) => {
      if (moves[event.key]) {
        event.preventDefault();
        go(now[0] + moves[event.key][0], now[1] + moves[event.key][1]);
        cells[now[0]][now[1]].focus();
      } else if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        showCell(now[0], now[1], cells[now[0]][now[1]]);
      }
    });
    table.addEventListener("click", (event) => {
      const cell = event.target.closest("td[data-row]");
      if (!cell) return;
      go(+cell.dataset.row, +cell.dataset.column);
      showCell(now[0], now[1], cell);
    });
    return table;
  }

  function build(node) {
    const part = DATA.confusions[node.dataset.confusion];
    if (!part) return;
    const panel = element("div", { class: "panel", "aria-live": "polite" }, element("p", { class: "quiet", text: "Click a cell, or go to it with the arrow keys and press Enter: its clips appear here." }));
    let chosen = null;
    const showCell = (y, x, cell) => {
      if (chosen) chosen.classList.remove("chosen");
      chosen = cell;
      cell.classList.add("chosen");
      const numbers = part.clips.map((clip, i) => [clip, i]).filter(([clip]) => clip.t === y && clip.p === x)
        .sort((a, b) => (b[0].c ?? 0) - (a[0].c ?? 0)).map(([, i]) => i);
      panel.replaceChildren(element("h5", { text: cell.getAttribute("aria-label") }), cards(part, numbers));
      play(panel);
    };
    if (part.counts.length) {
      node.append(element("h4", { text: "Confusion matrix" }));
      node.append(element("div", { class: "scroll matrixbox" }, matrix(part, showCell)), panel);
    }
    const stop = element("button", { type: "button", class: "pause", text: "Pause thumbnails" });
    stop.addEventListener("click", () => pause(!document.body.classList.contains("paused")));
    if (part.why) node.append(element("p", { class: "warning", text: part.why }));
    node.append(element("div", { class: "bar" }, stop));
    for (const [title, list, none] of [
      ["Most confident mistakes", part.mistakes, "There is no mistake."], ["Least sure hits", part.unsure, "There is no hit."],
    ]) {
      node.append(element("h4", { text: title }), list.length ? cards(part, list) : element("p", { class: "quiet", text: none }));
    }
    play(node);
    pause(document.body.classList.contains("paused"));
  }

  /* One state for all buttons; who asked the system for less motion begins with pictures that stand, and may start them. */
  function pause(paused) {
    document.body.classList.toggle("paused", paused);
    for (const button of document.querySelectorAll("button.pause")) button.textContent = paused ? "Play thumbnails" : "Pause thumbnails";
  }
  if (calm) pause(true);

  const moving = new Set();
  function play(node) {
    for (const thumb of node.querySelectorAll(".thumb")) moving.add(thumb);
  }
  let tick = 0;
  setInterval(() => {
    if (document.hidden || document.body.classList.contains("paused")) return;
    tick += 1;
    for (const thumb of moving) {
      if (!thumb.isConnected) moving.delete(thumb);
      else thumb.style.backgroundPositionX = -(tick % thumb.dataset.frames) * thumb.dataset.width + "px";
    }
  }, 250);
  window.playThumbnails = play;
  whenSeen(document.querySelectorAll("[data-confusion]"), build);
})();
