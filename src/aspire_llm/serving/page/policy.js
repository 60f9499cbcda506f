// When to answer: by confidence, or so that at most a share of the answers is wrong; what that costs.
import { byId, english, make } from "./dom.js";
import { curveFigure } from "./curve.js";
import { chosenPercent, onLanguage, percent, t } from "./language.js";

const FEW_TICKS = 9;
let run = null;

export function startPolicy() {
  byId("target").addEventListener("input", redraw);
  onLanguage(redraw);
}

/** Offer the targets of a run, none of them chosen. */
export function showPolicy(next) {
  run = next;
  byId("target").max = run.targets.length;
  byId("target").value = 0;
  redraw();
}

/** The share of wrong answers that is allowed, or null where the run's own rule decides. */
export const targetRisk = () => chosen()?.target_risk ?? null;

/** What decides, in a few words. */
function policyName() {
  const risk = targetRisk() ?? run.own_target;
  return risk === null ? t("targetNone") : t("targetValue", chosenPercent(risk));
}

const chosen = () => run?.targets[Number(byId("target").value) - 1] ?? null;

function redraw() {
  if (!run) return;
  const target = chosen();
  byId("slider-part").hidden = run.targets.length === 0;
  byId("target-value").textContent = policyName();
  byId("target").setAttribute("aria-valuetext", policyName());
  byId("target-ticks").replaceChildren(...ticks(target));
  byId("policy-words").replaceChildren(...(target ? ofTarget(target) : ofOwnRule()), ...caveats());
  byId("policy-figure").replaceChildren(...curveFigure(run.curve, share(target)));
}

/** The share of questions that is answered; null where it is not known. */
function share(target) {
  if (!target) return run.answered?.share ?? null;
  return target.certified ? target.coverage : 0;
}

function ticks(target) {
  const few = run.targets.length < FEW_TICKS;
  return [null, ...run.targets].map((own, place) => {
    const isEnd = place === 0 || place === run.targets.length;
    const risk = own ? own.target_risk : run.own_target;
    const name = risk === null ? t("targetTick") : chosenPercent(risk);
    const kind = [own === target && "chosen", own && !own.certified && "uncertified"].filter(Boolean).join(" ");
    return make("span", { class: kind || null }, few || isEnd ? name : "");
  });
}

function ofOwnRule() {
  const { answered, abstain_below: least, own_target: own } = run;
  return [
    answered && make("p", { class: "headline" }, t("answersShare", percent(answered.share))),
    answered && answered.accuracy !== null && make("p", { class: "remark" }, t("onTest", percent(answered.accuracy))),
    make("p", {}, own === null ? t("byConfidence", percent(least)) : t("byOwnTarget", chosenPercent(own))),
    run.targets.length === 0 && make("p", { class: "remark" }, t("noTargets")),
  ].filter(Boolean);
}

function ofTarget(target) {
  return [
    make("p", { class: "headline" }, headline(target)),
    make("p", { class: "remark" }, target.certified ? difference(target) : t("notCertified")),
    make("p", {}, english(target.sentence)),
    make("p", { class: "remark" }, t("nextAsk")),
  ];
}

/** What one must know of all answers, whatever decides. */
const caveats = () => run.caveats.map((own) => make("p", { class: "remark" }, english(own)));

function headline(target) {
  if (!target.certified) return t("nothingAnswered");
  return target.coverage === null ? policyName() : t("answersShare", percent(target.coverage));
}

/** What the target costs in coverage, beside what is answered by the run's own rule. */
function difference(target) {
  if (!run.answered || target.coverage === null) return "";
  const points = Math.round(100 * run.answered.share) - Math.round(100 * target.coverage);
  return t(points < 0 ? "gains" : "costs", Math.abs(points), percent(run.answered.share));
}
