"use strict";
/* What a block looks at: a click on a position paints its row of the affinity over all frames of the clip. */
(() => {
  const WIDTH = 112;

  function decode(part) {
    const text = atob(part.rows);
    const bytes = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
    return bytes;
  }

  function clipView(part, onMove) {
    const [frames, rows, columns] = part.cells;
    const count = frames * rows * columns;
    const bytes = decode(part);
    const picture = new Image();
    const sprite = part.frames;
    const height = Math.round((WIDTH * sprite.h) / sprite.w);
    const canvases = [];
    const strip = element("div", { class: "frames", tabindex: "0", role: "application", "aria-label": `${part.title}: the arrow keys move the position, Page Up and Page Down the frame` });
    const status = element("p", { class: "quiet small", role: "status" });
    let at = [Math.floor(frames / 2), Math.floor(rows / 2), Math.floor(columns / 2)];

    const cellMap = element("canvas", { width: columns, height: rows }); // a pixel a cell, enlarged over a frame
    function paint() {
      const position = (at[0] * rows + at[1]) * columns + at[2];
      const row = bytes.subarray(position * count, (position + 1) * count);
      const [low, high] = [part.low[position], part.high[position]];
      const values = Float64Array.from(row, (step) => low + ((high - low) * step) / 255);
      const [least, most] = [values.reduce((a, b) => Math.min(a, b)), values.reduce((a, b) => Math.max(a, b))];
      const sum = values.reduce((a, b) => a + b);
      const floor = Math.max(0, least);
      const scale = Math.max(most - floor, -least); // one for yellow and blue
      canvases.forEach((canvas, t) => {
        const context = canvas.getContext("2d");
        const cells = cellMap.getContext("2d");
        const pixels = cells.createImageData(columns, rows);
        for (let i = 0; i < rows * columns; i++) {
          const found = values[t * rows * columns + i];
          const share = Math.abs(found < 0 ? found : found - floor) / (scale || 1);
          pixels.data.set(found < 0 ? [70, 150, 255, 190 * share] : [255, 196, 0, 190 * share], 4 * i);
        }
        cells.putImageData(pixels, 0, 0);
        context.filter = "grayscale(1) brightness(0.75)";
        context.drawImage(picture, t * sprite.w, 0, sprite.w, sprite.h, 0, 0, canvas.width, canvas.height);
        context.filter = "none";
        context.imageSmoothingEnabled = false;
        context.drawImage(cellMap, 0, 0, canvas.width, canvas.height);
        if (t === at[0]) {
          const [w, h] = [canvas.width / columns, canvas.height / rows];
          context.lineWidth = 2;
          context.strokeStyle = "#fff";
          context.strokeRect(at[2] * w + 1, at[1] * h + 1, Math.max(3, w - 2), Math.max(3, h - 2));
        }
        canvas.classList.toggle("now", t === at[0]);
      });
      const inFrame = values.slice(at[0] * rows * columns, (at[0] + 1) * rows * columns).reduce((a, b) => a + b);
      const best = values.indexOf(most);
      const words = [`Frame ${at[0] + 1} of ${frames}, row ${at[1] + 1} of ${rows}, column ${at[2] + 1} of ${columns}: the strongest cell is in frame ${Math.floor(best / (rows * columns)) + 1}`];
      if (least >= 0 && sum > 0) words.push(`${((most * count) / sum).toFixed(1)} times the mean; ${((100 * inFrame) / sum).toFixed(0)} % of the row lies in its own frame`);
      status.textContent = words.join(", ") + ".";
    }
    function go(t, y, x, tell = true) {
      const clamp = (number, most) => Math.max(0, Math.min(most - 1, number));
      at = [clamp(t, frames), clamp(y, rows), clamp(x, columns)];
      paint();
      if (tell) onMove((at[0] + 0.5) / frames, (at[1] + 0.5) / rows, (at[2] + 0.5) / columns);
    }
    for (let t = 0; t < frames; t++) {
      const canvas = element("canvas", { width: WIDTH, height, "data-frame": t });
      canvas.addEventListener("click", (event) => {
        const box = canvas.getBoundingClientRect();
        go(t, Math.floor(((event.clientY - box.top) / box.height) * rows), Math.floor(((event.clientX - box.left) / box.width) * columns));
      });
      canvases.push(canvas);
      strip.append(canvas);
    }
    const moves = { ArrowUp: [0, -1, 0], ArrowDown: [0, 1, 0], ArrowLeft: [0, 0, -1], ArrowRight: [0, 0, 1], PageUp: [-1, 0, 0], PageDown: [1, 0, 0] };
    strip.addEventListener("keydown", (event) => {
      const move = moves[event.key];
      if (!move) return;
      event.preventDefault();
      go(at[0] + move[0], at[1] + move[1], at[2] + move[2]);
    });
    picture.addEventListener("load", paint);
    picture.src = sprite.u;
    const node = element("figure", { class: "clip" }, element("figcaption", { text: part.name && part.name !== part.title ? `${part.title} (${part.name})` : part.title }), strip, status);
    return { node, follow: (t, y, x) => go(Math.floor(t * frames), Math.floor(y * rows), Math.floor(x * columns), false) };
  }

  function build(node) {
    const block = DATA.affinities[node.dataset.affinity];
    if (!block) return;
    const [frames, rows, columns] = block.parts[0].grid;
    const own = block.parts[0].cells;
    const cells = own.join() === [frames, rows, columns].join() ? "" : `, and rows are averaged over ${own.join(" × ")} cells of it`;
    node.append(element("h4", { text: `Where ${block.place} looks` }));
    node.append(element("p", { class: "quiet", text: `Click a position: its row of the affinity is painted over all frames, yellow where it looks most${block.parts.some((part) => Math.min(...part.low) < 0) ? ", blue where it is negative" : ""}. Shades run ${block.parts.some((part) => Math.min(...part.low) < 0) ? "from 0 to the value that is farthest from it" : "from the row's least cell to its largest, however far apart they are"}; the feature map has ${frames} × ${rows} × ${columns} positions (frames, rows, columns)${cells}. The clips below move together.` }));
    const list = element("div", { class: "clips" });
    const views = block.parts.map((part, number) => clipView(part, (...place) => views.forEach((view, i) => i !== number && view.follow(...place))));
    list.append(...views.map((view) => view.node));
    node.append(list);
  }

  whenSeen(document.querySelectorAll("[data-affinity]"), build);
})();
