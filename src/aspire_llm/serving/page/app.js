// The page of `aspire-llm serve`: it asks which runs there are, and shows the one that is chosen.
import { ApiError, getRuns, patiently } from "./api.js";
import { askOf, startAsk } from "./ask.js";
import { batchOf, startBatch } from "./batch.js";
import { startCard, showCard } from "./card.js";
import { byId, english, make } from "./dom.js";
import { onLanguage, short, t } from "./language.js";
import { showPolicy, startPolicy } from "./policy.js";
import { startSettings } from "./settings.js";
import { startTabs } from "./tabs.js";

let runs = [];
let run = null;

function start() {
  startPolicy();
  startAsk();
  startBatch();
  startCard();
  onLanguage(showRunLine);
  startSettings();
  startTabs(document.querySelector("[role=tablist]"), placePolicy);
  byId("run").addEventListener("change", () => choose(runs[byId("run").selectedIndex]));
  window.addEventListener("unhandledrejection", () => notify(t("errorPage")));
  load();
}

/** Both forms share the choice when to answer: it stands in the panel that is open, where that has a place for it. */
function placePolicy(panel) {
  byId(panel).querySelector(".policy-place")?.append(byId("policy"));
}

async function load() {
  notify("");
  try {
    ({ runs } = await patiently(getRuns, [503], () => notify(t("loading"))));
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    const again = make("button", { type: "button" }, t("tryAgain"));
    again.addEventListener("click", load);
    notify(error.lead, english(error.message), again);
    return;
  }
  notify(runs.length ? "" : t("noRuns"));
  byId("run").replaceChildren(...runs.map((own) => make("option", {}, own.name)));
  byId("run-choice").hidden = runs.length < 2;
  if (runs.length) choose(runs[0]);
}

function choose(next) {
  run = next;
  showRunLine();
  showPolicy(run);
  showCard(run);
  batchOf(run);
  byId("policy").hidden = false;
  askOf(run);
}

/** The run in a line: what it is, and what it has been measured to do. */
function showRunLine() {
  if (!run) return;
  const size = run.parameters === null ? "" : ` (${short(run.parameters)})`;
  byId("run-line").textContent = `${run.name} · ${run.model}${size} · ${run.data}`;
}

function notify(...parts) {
  byId("notice").replaceChildren(...parts.flatMap((part) => [part, " "]));
  byId("notice").hidden = parts.every((part) => !part);
}

start();
