"use strict";
/* Charts: drawn by Plotly when they come into view, in the colours of the page. */
const DATA = JSON.parse(document.getElementById("data").textContent);

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "text") made.textContent = value;
    else if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== false && value !== null) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children);
  return made;
}

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
}

function themed(layout) {
  const axis = { gridcolor: colour("line"), zerolinecolor: colour("line"), linecolor: colour("line") };
  return {
    ...layout,
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: colour("ink"), size: 12, family: "system-ui, sans-serif" },
    hoverlabel: { bgcolor: colour("paper"), bordercolor: colour("line"), font: { color: colour("ink") } },
    xaxis: { ...layout.xaxis, ...axis },
    yaxis: { ...layout.yaxis, ...axis },
    dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom",
  };
}

/* Plotly is large: it runs when the first chart comes into view, so that the page is there before it. */
function plotly() {
  if (!window.Plotly) document.head.append(element("script", { text: document.getElementById("plotly").textContent }));
  return window.Plotly;
}

function drawChart(plot) {
  const chart = DATA.charts[plot.dataset.chart];
  if (!chart || plot.dataset.drawn) return;
  plot.dataset.drawn = "1";
  plot.style.minHeight = chart.layout.height + "px";
  plotly().newPlot(plot, chart.data, themed(chart.layout), { displaylogo: false, responsive: true, displayModeBar: false });
}

/* What is not built yet, with what builds it. */
const unseen = new Map();

function whenSeen(nodes, draw) {
  const observer = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (entry.isIntersecting) {
        observer.unobserve(entry.target);
        build(entry.target);
      }
    }
  }, { rootMargin: "300px" });
  for (const node of nodes) {
    unseen.set(node, draw);
    observer.observe(node);
  }
}

function build(node) {
  const draw = unseen.get(node);
  if (!unseen.delete(node)) return;
  draw(node);
}

/* Who goes by keyboard finds all that can be operated, in its order; charts hold nothing of that. */
addEventListener("keydown", (event) => {
  if (event.key !== "Tab") return;
  for (const node of [...unseen.keys()]) if (!node.matches("[data-chart]")) build(node);
}, { capture: true });

addEventListener("beforeprint", () => [...unseen.keys()].forEach(build));

whenSeen(document.querySelectorAll("[data-chart]"), drawChart);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  for (const plot of document.querySelectorAll("[data-drawn]")) {
    plotly().relayout(plot, themed(DATA.charts[plot.dataset.chart].layout));
  }
});
/* A link to a part opens what it lies in. */
function openTarget() {
  const target = location.hash && document.getElementById(location.hash.slice(1));
  const inside = target && target.querySelector("details.whole");
  if (inside) inside.open = true;
}
addEventListener("hashchange", openTarget);
openTarget();
