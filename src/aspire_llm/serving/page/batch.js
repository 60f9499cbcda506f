// Many questions at once: pasted or from a file, answered a few at a time, and taken home as a file.
import { ApiError } from "./api.js";
import { BatchList } from "./batch_list.js";
import { BatchWork } from "./batch_work.js";
import { byId, make, say as sayIn } from "./dom.js";
import { save, toCsv, toJsonLines } from "./downloads.js";
import { count, onLanguage, t } from "./language.js";
import { targetRisk } from "./policy.js";
import { readRows } from "./rows.js";

const CANDIDATES = 5, LARGEST = 50; // MB
const MOST_NAMED = 100; // rows that are skipped
let run = null;
let file = null; // its name and text; it takes the place of what is pasted
let read = { rows: [], problems: [] };
let work = null;
let stop = null; // what aborts the work under way
let list = null;

export function startBatch() {
  list = new BatchList();
  const form = byId("batch-form");
  form.addEventListener("submit", (event) => { event.preventDefault(); begin(); });
  byId("panel-batch").addEventListener("keydown", (event) => { if (event.key === "Escape") stop?.abort(); });
  byId("batch-text").addEventListener("input", readAgain);
  byId("batch-file").addEventListener("change", ({ target }) => { take(target.files[0]); target.value = ""; });
  byId("file-remove").addEventListener("click", () => { use(null); byId("batch-file").focus(); });
  byId("batch-cancel").addEventListener("click", () => stop?.abort());
  byId("batch-resume").addEventListener("click", goOn);
  byId("download-jsonl").addEventListener("click", () => download("jsonl", "application/jsonl", toJsonLines));
  byId("download-csv").addEventListener("click", () => download("csv", "text/csv", toCsv));
  acceptDrops(form);
  onLanguage(() => { showFound(); list.redraw(); if (!stop) say(""); });
}

/** Answer by another run from now on; what it has answered already stays. */
export function batchOf(next) {
  run = next;
}

function acceptDrops(form) {
  const mark = (isOver) => form.classList.toggle("dropping", isOver);
  form.addEventListener("dragover", (event) => { event.preventDefault(); mark(true); });
  form.addEventListener("dragleave", (event) => { if (!form.contains(event.relatedTarget)) mark(false); });
  form.addEventListener("drop", (event) => {
    mark(false);
    const [dropped] = event.dataTransfer.files;
    if (!dropped) return; // a text lands where it is dropped
    event.preventDefault();
    take(dropped);
  });
}

async function take(chosen) {
  if (!chosen) return;
  if (chosen.size > LARGEST * 2 ** 20) {
    showFound(t("fileTooLarge", chosen.name, LARGEST));
    return;
  }
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(await chosen.arrayBuffer());
    use({ name: chosen.name, text });
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    showFound(t("fileNotText", chosen.name));
  }
}

function use(next) {
  file = next;
  byId("batch-text").disabled = Boolean(file);
  byId("file-name").textContent = file?.name ?? "";
  byId("file-remove").hidden = !file;
  readAgain();
}

function readAgain() {
  read = readRows(file?.text ?? byId("batch-text").value);
  showFound();
}

/** How many questions there are, and which rows are none. */
function showFound(complaint = "") {
  const { rows, problems } = read;
  const parts = [rows.length && t("found", count(rows.length)), problems.length && t("skipped", count(problems.length))];
  sayIn(byId("batch-found"), complaint || parts.filter(Boolean).join(" · "), "", complaint && "error");
  const [summary, names] = byId("batch-problems").children;
  byId("batch-problems").hidden = problems.length === 0;
  summary.textContent = t("whichRows");
  const named = problems.slice(0, MOST_NAMED).map(({ line, key, values }) => t("line", line, t(key, ...values)));
  const rest = problems.length - named.length;
  names.replaceChildren(...[...named, rest && t("andMore", count(rest))].filter(Boolean).map((own) => make("li", {}, own)));
}

function begin() {
  if (stop || !run) return;
  if (!read.rows.length) {
    showFound(t("noRows"));
    byId("batch-text").focus();
    return;
  }
  const candidates = byId("batch-candidates").checked ? Math.min(CANDIDATES, run.max_candidates) : 0;
  work = new BatchWork(run, read.rows, { target_risk: targetRisk(), candidates });
  list.clear();
  byId("batch-outcome").hidden = false;
  goOn();
}

async function goOn() {
  stop = new AbortController();
  setBusy(true);
  showProgress();
  byId("batch-outcome").scrollIntoView({ block: "nearest" });
  const pace = { since: performance.now(), from: work.answers.length };
  try {
    await work.goOn(stop.signal, (answers) => { list.add(answers); showProgress(pace); }, showWait);
    say(t("batchFinished"));
  } catch (error) {
    if (error instanceof ApiError) say(error.lead, error.message, "error");
    else if (error.name === "AbortError") say(t("batchStopped"));
    else throw error;
  } finally {
    stop = null;
    setBusy(false);
  }
}

function setBusy(busy) {
  const hadFocus = ["batch-start", "batch-cancel", "batch-resume"].includes(document.activeElement.id);
  byId("batch-start").hidden = busy;
  byId("batch-cancel").hidden = !busy;
  byId("batch-resume").hidden = busy || work.isDone;
  for (const id of ["download-jsonl", "download-csv"]) byId(id).disabled = work.answers.length === 0;
  if (hadFocus) byId(busy ? "batch-cancel" : work.isDone ? "batch-start" : "batch-resume").focus();
}

function showProgress(pace = null) {
  const [done, total] = [work.answers.length, work.rows.length];
  byId("batch-progress").max = total;
  byId("batch-progress").value = done;
  const parts = [t("batchDone", count(done), count(total))];
  if (pace && done < total) parts.push(timeLeft((performance.now() - pace.since) / (done - pace.from) * (total - done)));
  say(parts.join(" · "));
}

function timeLeft(milliseconds) {
  const seconds = Math.ceil(milliseconds / 1000);
  return t("timeLeft", seconds < 100 ? 0 : Math.round(seconds / 60), seconds);
}

function showWait(error) {
  say(error.status === 503 ? t("loading") : t("busyWait", error.retryAfter));
}

function say(...words) {
  sayIn(byId("batch-status"), ...words);
}

function download(suffix, type, write) {
  save(`answers.${suffix}`, type, write(work.answers));
}
