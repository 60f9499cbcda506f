// The coverage slider: a marker on ASPIRE's curve and its accuracy in words. The page is complete without it.
(() => {
  const input = document.getElementById("coverage");
  const figure = document.querySelector("svg[data-left]");
  if (!input || !figure) return;
  document.documentElement.classList.add("js");
  const accuracies = JSON.parse(input.dataset.accuracies);
  const frame = Object.fromEntries(Object.entries(figure.dataset).map(([key, value]) => [key, Number(value)]));
  const draw = (name, attributes) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    Object.entries(attributes).forEach(([key, value]) => element.setAttribute(key, value));
    return figure.appendChild(element);
  };
  const line = draw("line", { y1: frame.top, y2: frame.bottom, stroke: "var(--ink)", "stroke-width": 1, "stroke-dasharray": "2 3" });
  const dot = draw("circle", { r: 4.5, fill: "var(--aspire-1)", stroke: "var(--card)", "stroke-width": 1.5, "data-series": "aspire" });
  const update = () => {
    const percent = Number(input.value), accuracy = accuracies[percent - 1];
    const x = frame.left + (frame.right - frame.left) * (percent / 100) / frame.span;
    const share = (accuracy - frame.low) / (frame.high - frame.low);
    const y = frame.bottom - (frame.bottom - frame.top) * Math.max(0, share);
    line.setAttribute("x1", x); line.setAttribute("x2", x);
    dot.setAttribute("cx", x); dot.setAttribute("cy", y);
    document.getElementById("coverage-value").textContent = percent + "%";
    document.getElementById("accuracy-value").textContent = (100 * accuracy).toFixed(1) + "%";
    input.setAttribute("aria-valuetext", percent + "% of questions answered, " + (100 * accuracy).toFixed(1) + "% of the answers right");
  };
  input.addEventListener("input", update);
  update();
})();

// The browser of examples: filter, search and sort. Without it the page lists all of them, highest score first.
(() => {
  const list = document.getElementById("example-list"), form = document.getElementById("example-filters");
  if (!list || !form) return;
  document.documentElement.classList.add("js");
  const PAGE = 20, fields = form.elements;
  const more = document.getElementById("example-more"), status = document.getElementById("example-status");
  const items = Array.from(list.children, (element) => ({
    element, data: element.dataset,
    text: Array.from(element.querySelectorAll(".text"), (part) => part.textContent).join("\n").toLowerCase(),
  }));
  let limit = PAGE;

  const matching = () => {
    const words = fields.search.value.toLowerCase().split(/\s+/).filter(Boolean);
    return items.filter(({ data, text }) =>
      (fields.outcome.value === "all" || data.outcome === fields.outcome.value) &&
      (fields.decision.value === "all" || data.decision === fields.decision.value) &&
      words.every((word) => text.includes(word)));
  };
  // Answers without the figure come last in either direction.
  const byFigure = (key, sign) => (a, b) => {
    const [x, y] = [a.data[key], b.data[key]];
    return x === "" || y === "" ? (x === "") - (y === "") : sign * (Number(x) - Number(y));
  };
  const update = () => {
    const found = matching().sort(byFigure(fields.sort.value, fields.order.value === "lowest" ? 1 : -1));
    list.replaceChildren(...found.slice(0, limit).map(({ element }) => element));
    const shown = Math.min(limit, found.length);
    status.textContent = found.length ? `${shown} of ${found.length} matching answers shown` : "No answer matches";
    more.hidden = shown === found.length;
  };
  form.addEventListener("input", () => { limit = PAGE; update(); });
  form.addEventListener("submit", (event) => event.preventDefault());
  more.addEventListener("click", () => {
    const next = limit;
    limit += PAGE;
    update();
    list.children[next].focus({ preventScroll: true });
  });
  update();
})();
