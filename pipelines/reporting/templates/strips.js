"use strict";
/* Ranked strips: a query and what was ranked first for it, framed as right, wrong or junk. */
(() => {
  const KINDS = [["wrong", "✗"], ["right", "✓"], ["junk", "–"]];
  const STEP = 20;

  function tile(part, number, words, kind) {
    const tracklet = part.tracklets[number];
    const node = element("figure", { class: "tile " + kind, title: `${tracklet.n}: identity ${tracklet.id}, camera ${tracklet.c}` });
    const picture = part.pictures[tracklet.s];
    node.append(picture
      ? element("img", { src: picture, alt: `${tracklet.n}, identity ${tracklet.id}, camera ${tracklet.c}` })
      : element("div", { class: "noframe", text: tracklet.n }));
    node.append(element("figcaption", {}, ...words.map((text) => element("span", { text }))));
    return node;
  }

  function strip(part, query) {
    const own = part.tracklets[query.t];
    const row = element("div", { class: "striprow", tabindex: "0", role: "region", "aria-label": `Ranked for ${own.n}` });
    row.append(tile(part, query.t, ["query", `cam ${own.c}`], "query"));
    let rank = 0;
    for (const [item, score, kind] of query.list) {
      const [name, sign] = KINDS[kind];
      const place = kind === 2 ? "junk" : `${++rank}`;
      row.append(tile(part, item, [`${sign} ${place}`, `${score.toFixed(3)}`, `cam ${part.tracklets[item].c}`], "is-" + name));
    }
    const ap = query.ap === null ? (query.matches ? "its AP is no number" : "no match in the gallery") : `AP ${(100 * query.ap).toFixed(1)} %, first match at rank ${query.first}, ${query.matches} match${query.matches === 1 ? "" : "es"}`;
    return element("article", { class: "strip" }, element("h5", { text: `${own.n}: identity ${own.id}, camera ${own.c}. ${ap}` }), row);
  }

  function build(node) {
    const part = DATA.strips[node.dataset.strips];
    if (!part) return;
    const select = (label, options) => {
      const field = element("select");
      for (const [value, text] of options) field.append(element("option", { value, text }));
      return [element("label", {}, label + " ", field), field];
    };
    const [orderLabel, order] = select("Order", [["worst", "worst first"], ["best", "best first"], ["list", "as in the list"]]);
    const [cameraLabel, camera] = select("Query's camera", [["", "all"], ...part.cameras.map((name) => [name, name])]);
    const [resultLabel, result] = select("Show", [["", "all"], ["wrong", "wrong at rank 1"], ["right", "right at rank 1"], ["none", "without a match"]]);
    const status = element("p", { class: "quiet", role: "status" });
    const list = element("div");
    const more = element("button", { type: "button" });
    let found = [];
    let shown = 0;
    const extend = () => {
      list.append(...found.slice(shown, shown + STEP).map((query) => strip(part, query)));
      shown = Math.min(found.length, shown + STEP);
      more.hidden = shown >= found.length;
      more.textContent = `Show ${Math.min(STEP, found.length - shown)} more`;
      status.textContent = `${shown} of ${found.length} queries shown` + (part.queries.length < part.total ? `; of all ${part.total} the page holds the worst, the best and an even choice of the others` : "");
    };
    const update = () => {
      found = part.queries.filter((query) => {
        if (camera.value && part.tracklets[query.t].c !== camera.value) return false;
        if (result.value === "none") return query.ap === null && !query.matches;
        if (result.value) return query.ap !== null && (query.first === 1) === (result.value === "right");
        return true;
      });
      const rank = { worst: (a, b) => (a.ap ?? 2) - (b.ap ?? 2), best: (a, b) => (b.ap ?? -1) - (a.ap ?? -1), list: (a, b) => a.i - b.i };
      found.sort(rank[order.value]);
      shown = 0;
      list.replaceChildren();
      extend();
    };
    for (const field of [order, camera, result]) field.addEventListener("change", update);
    more.addEventListener("click", extend);
    node.append(element("h4", { text: "Ranked strips" }));
    const how = part.rerank ? `${part.rerank}; numbers are minus the re-ranked distance` : `numbers are the ${part.metric} similarity`;
    node.append(element("p", { class: "quiet", text: `Protocol ${part.protocol}. Frames: ✓ right, ✗ wrong, – junk (ignored: the query's own camera, or a junk identity). Below each: rank, score, camera; ${how}.` }));
    if (part.why) node.append(element("p", { class: "warning", text: part.why }));
    node.append(element("div", { class: "bar" }, orderLabel, cameraLabel, resultLabel), status, list, more);
    update();
  }

  whenSeen(document.querySelectorAll("[data-strips]"), build);
})();
