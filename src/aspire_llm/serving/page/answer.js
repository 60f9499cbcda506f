// An answer or an abstention: what is said, how sure, why, and what else was in mind.
import { draw, english, make, term } from "./dom.js";
import { decimal, known, percent, percents, t } from "./language.js";

const LONG = 80; // characters; a longer answer is set smaller

/** The card of an answer of the server's. */
export function answerCard(answer) {
  if (answer.error) return failureCard(answer);
  return make(
    "article", { class: `card answer ${answer.abstained ? "withheld" : "given"}` },
    make("p", { class: "asked" }, answer.question),
    make("p", { class: answer.text.length > LONG ? "said long" : "said" }, answer.text),
    make("p", { class: "why" }, badge(answer), " ", known(answer.reason)),
    confidence(answer),
    answer.context_cut && make("p", { class: "remark" }, t("contextCut")),
    answer.guarantee && promise(answer.guarantee),
    answer.abstained && answer.candidates.length > 0 && wouldHaveSaid(answer.candidates),
    !answer.abstained && answer.candidates.length > 1 && others(answer.candidates.slice(1)),
    figures(answer),
  );
}

/** What became of a question, in a word or two. */
export function badge({ error, abstained }, texts = { withheld: "withheld" }) {
  const kind = error ? "failed" : abstained ? "withheld" : "given";
  return make("span", { class: `badge ${kind}` }, ICONS[kind](), t(texts[kind] ?? kind));
}

const icon = (...paths) =>
  draw("svg", { viewBox: "0 0 16 16", "aria-hidden": "true" }, ...paths.map((d) => draw("path", { d })));
const ICONS = {
  given: () => icon("M3.5 8.5 6.5 11.5 12.5 4.5"),
  withheld: () => icon("M6 4v8", "M10 4v8"),
  failed: () => icon("M8 3.5v5.5", "M8 12v.5"),
};

/** One sentence for those who hear the page. */
export function announcement(answer) {
  if (answer.error) return t("failed");
  return answer.abstained
    ? t("announceWithheld", answer.text, known(answer.reason))
    : t("announceGiven", answer.text, howSure(answer));
}

function failureCard(answer) {
  return make(
    "article", { class: "card answer failed" },
    make("p", { class: "asked" }, answer.question),
    make("p", { class: "why" }, badge(answer)),
    make("p", {}, english(answer.error)),
  );
}

/** The least confidence that is answered, or null where there is none or it is of the score alone. */
const leastConfidence = (threshold) => (threshold?.of === "confidence" ? threshold.value : threshold?.confidence ?? null);

/** "82% sure; answers below 50% are withheld", or as much of it as is known. */
function howSure({ confidence, threshold }) {
  if (confidence === null) return t("notCalibrated");
  const least = leastConfidence(threshold);
  if (least !== null) return t("sureOf", ...percents(confidence, least));
  const [sure] = percents(confidence);
  return threshold ? t("sureOfScore", sure, decimal(threshold.value)) : t("sure", sure);
}

function confidence(answer) {
  const words = make("p", { class: "how-sure" }, howSure(answer));
  if (answer.confidence === null) return words;
  const bar = make("div", {
    class: "bar", role: "meter", "aria-label": t("confidence"), "aria-valuetext": howSure(answer),
    "aria-valuemin": 0, "aria-valuemax": 100, "aria-valuenow": Math.round(100 * answer.confidence),
  }, make("div", { class: "bar-fill" }));
  const least = leastConfidence(answer.threshold);
  if (least !== null) bar.append(make("div", { class: "bar-least" }));
  const sureness = make("div", { class: "sureness" }, words, bar, scale(least));
  sureness.style.setProperty("--value", `${100 * answer.confidence}%`);
  if (least !== null) sureness.style.setProperty("--least", `${100 * least}%`);
  return sureness;
}

/** The ends of the bar and its threshold; an end gives way to a threshold beside it. */
function scale(least) {
  const ends = [0, 1].map((end) => make("span", {}, least !== null && Math.abs(least - end) < 0.15 ? "" : percent(end)));
  const tick = least === null ? null : make("span", { class: "bar-tick" }, percent(least));
  return make("div", { class: "bar-scale", "aria-hidden": "true" }, ...ends, tick);
}

function promise(guarantee) {
  return make("p", { class: "promise" }, make("strong", {}, t("promise")), " ", english(guarantee.sentence));
}

function wouldHaveSaid([first, ...rest]) {
  return make(
    "details", { class: "would" },
    make("summary", {}, t("wouldHaveSaid")),
    make("p", { class: "unsaid" }, first.text),
    rest.length > 0 && make("p", { class: "remark" }, t("otherCandidates", rest.length)),
    rest.length > 0 && table(rest),
  );
}

const others = (candidates) =>
  make("details", {}, make("summary", {}, t("otherCandidates", candidates.length)), table(candidates));

function table(candidates) {
  const scored = candidates.some((own) => own.selection_score !== null);
  const head = [t("candidate"), t("logLikelihood"), scored && t("score")].filter(Boolean);
  return make(
    "table", { class: "candidates" },
    make("thead", {}, make("tr", {}, ...head.map((name) => make("th", { scope: "col" }, name)))),
    make("tbody", {}, ...candidates.map((own) => make(
      "tr", {},
      make("th", { scope: "row" }, own.text),
      make("td", {}, decimal(own.log_likelihood, 2)),
      scored && make("td", {}, decimal(own.selection_score)),
    ))),
  );
}

function figures(answer) {
  const { selection_score: score, threshold, novelty } = answer;
  return make(
    "details", {},
    make("summary", {}, t("details")),
    make("p", { class: "remark" }, english(answer.why)),
    make(
      "dl", { class: "facts" },
      term(t("selectionScore"), decimal(score)),
      threshold?.of === "selection_score" && term(t("scoreThreshold"), decimal(threshold.value)),
      novelty !== null && term(t("novelty"), decimal(novelty)),
    ),
  );
}
