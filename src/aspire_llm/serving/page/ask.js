// One question: its form, and the answer below it.
import { announcement, answerCard } from "./answer.js";
import { ApiError, patiently, postQuestions } from "./api.js";
import { byId, say as sayIn } from "./dom.js";
import { onLanguage, t } from "./language.js";
import { targetRisk } from "./policy.js";

const CANDIDATES = 5;
let run = null;
let shown = null; // the answer on the page
let asking = null; // what aborts the request under way

export function startAsk() {
  const form = byId("ask-form");
  form.addEventListener("submit", (event) => { event.preventDefault(); ask(); });
  form.addEventListener("keydown", onKey);
  byId("ask-cancel").addEventListener("click", cancel);
  byId("question").addEventListener("input", grow);
  onLanguage(() => { show(shown); say(""); });
}

/** Ask another run from now on; the question stays, so that it can be put to both. */
export function askOf(next) {
  run = next;
  asking?.abort();
  show(null);
  say("");
}

function onKey(event) {
  if (event.isComposing) return; // Enter ends a Korean syllable, it does not ask
  const { key, target } = event;
  if (key === "Escape") {
    event.preventDefault();
    if (asking) cancel();
    else { forget(); byId("question").focus(); }
  } else if (key === "Enter" && asks(event, target)) {
    event.preventDefault();
    ask();
  }
}

const asks = (event, field) =>
  (field.id === "question" && !event.shiftKey) || (field.id === "context" && (event.ctrlKey || event.metaKey));

async function ask() {
  if (!run || asking) return;
  const question = byId("question").value.trim(), context = byId("context").value.trim();
  if (!question) {
    say(t("noQuestion"));
    byId("question").focus();
    return;
  }
  asking = new AbortController();
  setBusy(true);
  say(t("asking"));
  try {
    const answer = await put(question, context || null, asking.signal);
    show(answer);
    say(announcement(answer), "", "unseen");
    byId("answer").scrollIntoView({ block: "nearest" });
  } catch (error) {
    if (error.name === "AbortError") say(t("cancelled"));
    else complain(error);
  } finally {
    asking = null;
    setBusy(false);
  }
}

async function put(question, context, signal) {
  const body = {
    model: run.name, questions: [{ question, context }], target_risk: targetRisk(),
    candidates: Math.min(CANDIDATES, run.max_candidates),
  };
  const [answer] = await patiently(() => postQuestions(body, signal), [503], () => say(t("loading")), signal);
  return answer;
}

function cancel() {
  asking?.abort();
  byId("question").focus();
}

function forget() {
  byId("question").value = byId("context").value = "";
  byId("context-part").open = false;
  grow();
  show(null);
  say("");
}

function setBusy(busy) {
  const hadFocus = document.activeElement === byId(busy ? "ask-start" : "ask-cancel");
  byId("ask-start").hidden = busy;
  byId("ask-cancel").hidden = !busy;
  byId("ask-form").ariaBusy = busy;
  if (hadFocus) byId(busy ? "ask-cancel" : "ask-start").focus();
}

function show(answer) {
  shown = answer;
  byId("answer").replaceChildren(...(shown ? [answerCard(shown)] : []));
}

function complain(error) {
  if (!(error instanceof ApiError)) throw error;
  say(error.lead, error.message, "error");
}

function say(...words) {
  sayIn(byId("ask-status"), ...words);
}

/** As high as its text. */
function grow() {
  const field = byId("question");
  field.style.setProperty("--height", "auto");
  field.style.setProperty("--height", `${field.scrollHeight + 2}px`);
}
