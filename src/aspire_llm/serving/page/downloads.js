// Answers as files: JSON lines as the server gave them, or a table that a spreadsheet opens.

const COLUMNS = {
  id: (own) => own.id,
  question: (own) => own.question,
  answer: (own) => own.answer,
  text: (own) => own.text,
  abstained: (own) => own.abstained,
  reason: (own) => own.reason,
  why: (own) => own.why,
  confidence: (own) => own.confidence,
  selection_score: (own) => own.selection_score,
  threshold_of: (own) => own.threshold?.of,
  threshold_value: (own) => own.threshold?.value,
  threshold_confidence: (own) => own.threshold?.confidence,
  novelty: (own) => own.novelty,
  context_cut: (own) => own.context_cut,
  target_risk: (own) => own.guarantee?.target_risk,
  delta: (own) => own.guarantee?.delta,
  guarantee: (own) => own.guarantee?.sentence,
  candidates: (own) => own.candidates && JSON.stringify(own.candidates),
  error: (own) => own.error,
};

export const toJsonLines = (answers) => answers.map((own) => `${JSON.stringify(own)}\n`).join("");

/** With a byte order mark, without which spreadsheets misread all but ASCII. */
export function toCsv(answers) {
  const rows = answers.map((own) => Object.values(COLUMNS).map((value) => cell(value(own))));
  return `\uFEFF${[Object.keys(COLUMNS), ...rows].map((cells) => `${cells.join(",")}\r\n`).join("")}`;
}

/** A text that a spreadsheet would take for a formula gets an apostrophe in front; numbers stay numbers. */
function cell(value) {
  if (value === null || value === undefined) return "";
  const text = typeof value === "string" && /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** Have the browser save a text as a file. */
export function save(name, type, text) {
  const url = URL.createObjectURL(new Blob([text], { type: `${type};charset=utf-8` }));
  const link = document.createElement("a");
  Object.assign(link, { href: url, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000); // a browser may begin to read it later
}
