"use strict";
(function () {
  const still = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
  const plots = [];
  document.querySelectorAll("figure > .plot").forEach(function (plot) {
    const content = JSON.parse(plot.nextElementSibling.textContent);
    if (still) content.layout.transition = { duration: 0 };
    Plotly.newPlot(plot, content.data, content.layout, {
      responsive: true, displayModeBar: false, scrollZoom: false,
    });
    plots.push(plot);
  });
  const PAPER = 640; // pixels: what a sheet of A4 or Letter leaves between its margins
  const resize = function (size) { plots.forEach(function (plot) { Plotly.relayout(plot, size); }); };
  window.addEventListener("beforeprint", function () { resize({ width: PAPER, autosize: false }); });
  window.addEventListener("afterprint", function () { resize({ width: null, autosize: true }); });
  document.documentElement.dataset.drawn = String(plots.length);
})();
