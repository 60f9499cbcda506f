// The card of a run: what it is, what it was measured to do, what is promised, and whether its questions have changed.
import { curveFigure } from "./curve.js";
import { byId, english, make, term } from "./dom.js";
import { chosenPercent, count, onLanguage, percent, short, t } from "./language.js";

const MUCH = 100_000;
let run = null;

export function startCard() {
  onLanguage(redraw);
}

export function showCard(next) {
  run = next;
  redraw();
}

function redraw() {
  if (!run) return;
  byId("panel-run").replaceChildren(
    part(null, facts()),
    part(t("metrics"), run.n !== null && make("p", { class: "lead" }, t("measuredOn", count(run.n))), tiles()),
    run.caveats.length > 0 && part(t("caveats"), caveats()),
    part(t("guarantees"), guarantees()),
    part(t("curve"), make("figure", {}, ...curveFigure(run.curve, run.answered?.share ?? null))),
    part(t("drift"), drift()),
  );
}

function part(heading, ...content) {
  return make("section", { class: "card part" }, heading && make("h2", {}, heading), ...content);
}

function facts() {
  const splits = Object.fromEntries(Object.entries(run.questions).map(([name, number]) => [name, count(number)]));
  return make(
    "dl", { class: "facts" },
    term(t("runName"), run.name),
    term(t("model"), run.model),
    term(t("parameters"), short(run.parameters)),
    term(t("data"), run.data),
    term(t("questions"), t("splits", splits)),
    term(t("scoreKind"), t(run.score)),
    term(t("abstention"), run.abstention),
  );
}

const caveats = () => make("ul", {}, ...run.caveats.map((own) => make("li", {}, english(own))));

function tiles() {
  return make(
    "dl", { class: "tiles" },
    tile(t("answered"), percent(run.answered?.share ?? null), answeredNote(run)),
    tile(t("accuracy"), percent(run.accuracy), t("accuracyNote")),
    tile(t("auroc"), percent(run.auroc, 1), t("aurocNote")),
    tile(t("ece"), percent(run.ece, 1), t("eceNote")),
  );
}

function answeredNote({ answered, own_target: own, abstain_below: least }) {
  if (!answered) return "";
  const right = percent(answered.accuracy);
  return own === null ? t("answeredNote", right, percent(least)) : t("answeredOwn", right, chosenPercent(own));
}

const tile = (name, value, remark) => make(
  "div", { class: "tile" },
  make("dt", {}, name),
  make("dd", { class: "value" }, value),
  make("dd", { class: "remark" }, remark),
);

function guarantees() {
  if (!run.targets.length) return make("p", {}, t("guaranteesNone"));
  return make("ul", { class: "plain" }, ...run.targets.map((own) => make(
    "li", {},
    make("p", { class: "named" }, make("strong", {}, t("wrongAtMost", chosenPercent(own.target_risk))), " ", outcome(own)),
    make("p", { class: "remark" }, english(own.sentence)),
  )));
}

const outcome = ({ certified, coverage }) =>
  (certified
    ? make("span", { class: "badge given" }, t("certified", percent(coverage)))
    : make("span", { class: "badge" }, t("uncertified")));

function drift() {
  if (!run.drift.length) return make("p", {}, t("driftNone"));
  return make("ul", { class: "plain" }, ...run.drift.map(({ what, evidence, peak, alarm, questions }) => make(
    "li", {},
    make(
      "p", { class: "named" },
      make("strong", {}, t(what === "scores" ? "driftScores" : "driftQuestions")), " ",
      make("span", { class: `badge ${alarm ? "failed" : "given"}` }, t(alarm ? "driftAlarm" : "driftCalm")),
    ),
    make("p", { class: "remark" }, t("driftFigures", figure(evidence), figure(peak), count(questions))),
  )));
}

// Evidence grows without bound, and means no more beyond some point.
const figure = (value) => (value > MUCH ? t("moreThan", count(MUCH)) : count(Number(value.toPrecision(2))));
