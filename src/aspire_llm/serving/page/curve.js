// The accuracy of the most confident answers over the share of questions that is answered.
import { draw, make } from "./dom.js";
import { percent, t } from "./language.js";

const WIDTH = 360, LEFT = 42, RIGHT = 348, TOP = 14, BOTTOM = 152, HEIGHT = 180;

/**
 * A figure; where nothing was measured, a sentence.
 * @param {{coverage: number, accuracy: number}[]} curve
 * @param {number|null} answered The share that is marked.
 * @returns {Node[]}
 */
export function curveFigure(curve, answered) {
  if (curve.length < 2) return [make("figcaption", {}, t("curveNone"))];
  const points = [...curve].sort((one, other) => one.coverage - other.coverage);
  const low = Math.max(0, Math.floor(10 * Math.min(...points.map((own) => own.accuracy)) - 1e-9) / 10);
  const place = {
    x: (coverage) => LEFT + (RIGHT - LEFT) * coverage,
    y: (accuracy) => BOTTOM - ((BOTTOM - TOP) * (accuracy - low)) / (1 - low || 1),
  };
  const marked = answered === null ? null : { coverage: answered, accuracy: accuracyAt(points, answered) };
  const words = marked && marked.coverage > 0 ? t("curveAt", percent(marked.coverage), percent(marked.accuracy)) : "";
  const label = [t("curveTitle"), words].filter(Boolean).join(". ");
  const picture = draw(
    "svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": label },
    ...axes(place, low),
    marked && area(place, points, marked),
    draw("path", { class: "curve", d: path(place, points) }),
    ...(marked ? mark(place, marked, words) : []),
  );
  return [picture, make("figcaption", {}, t("curveTitle"))];
}

/** By straight lines between the points; the ends go on level. */
function accuracyAt(points, coverage) {
  const after = points.findIndex((own) => own.coverage >= coverage);
  if (after < 0) return points.at(-1).accuracy;
  if (after === 0) return points[0].accuracy;
  const [from, to] = [points[after - 1], points[after]];
  const share = (coverage - from.coverage) / (to.coverage - from.coverage);
  return from.accuracy + share * (to.accuracy - from.accuracy);
}

const path = (place, points) =>
  points
    .map((own, index) => `${index ? "L" : "M"}${place.x(own.coverage).toFixed(1)} ${place.y(own.accuracy).toFixed(1)}`)
    .join("");

function axes(place, low) {
  const levels = [low, (1 + low) / 2, 1].flatMap((accuracy) => [
    draw("line", { class: "grid", x1: LEFT, x2: RIGHT, y1: place.y(accuracy), y2: place.y(accuracy) }),
    draw("text", { x: LEFT - 7, y: place.y(accuracy) + 4, "text-anchor": "end" }, percent(accuracy)),
  ]);
  const shares = [0, 0.5, 1].map((share) =>
    draw("text", { x: place.x(share), y: BOTTOM + 18, "text-anchor": share === 1 ? "end" : "middle" }, percent(share)));
  return [...levels, ...shares];
}

function area(place, points, marked) {
  const inside = [...points.filter((own) => own.coverage < marked.coverage), marked];
  const [first, last] = [inside[0], inside.at(-1)];
  const corners = `L${place.x(last.coverage)} ${BOTTOM}L${place.x(first.coverage)} ${BOTTOM}Z`;
  return draw("path", { class: "area", d: path(place, inside) + corners });
}

function mark(place, marked, words) {
  const [x, y] = [place.x(marked.coverage), place.y(marked.accuracy)];
  const line = draw("line", { class: "mark", x1: x, x2: x, y1: TOP, y2: BOTTOM });
  if (!words) return [line];
  const right = marked.coverage < 0.5;
  // Above what falls to the right, below what rises to the left: the words cross no line.
  const level = right ? Math.max(TOP + 12, y - 12) : BOTTOM - 10;
  return [
    line,
    draw("circle", { class: "dot", cx: x, cy: y, r: 5 }),
    draw("text", { class: "said", x: x + (right ? 8 : -8), y: level, "text-anchor": right ? "start" : "end" }, words),
  ];
}
