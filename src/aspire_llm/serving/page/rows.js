// Questions from pasted text or a file: JSON lines, or CSV with a header. Bad rows are named, the others are read.

/**
 * @typedef {{id: string, question: string, context: string|null}} Row
 * @typedef {{line: number, key: string, values: Array}} Problem A text of the page and what it depends on.
 */

const DELIMITERS = [",", "\t", ";"];

/** @returns {{rows: Row[], problems: Problem[]}} */
export function readRows(source) {
  const text = source.replace(/^\uFEFF/, "").replace(/\r\n?/g, "\n");
  const rows = [], problems = [];
  for (const { line, key, values = [], ...fields } of drafts(text)) {
    if (key) problems.push({ line, key, values });
    else rows.push({ ...fields, id: fields.id ?? String(rows.length + 1) });
  }
  return { rows, problems };
}

function drafts(text) {
  const start = text.search(/\S/);
  if (start < 0) return [];
  const from = text.lastIndexOf("\n", start) + 1;
  const header = DELIMITERS.map((delimiter) => ({ delimiter, ...readRecord(text, from, delimiter) }))
    .find(({ cells }) => cells?.some((cell) => cell.trim() === "question"));
  if (header) return ofTable(text, from, header.delimiter);
  return /^\s*\{/m.test(text) ? ofJsonLines(text) : [{ line: lineAt(text, from), key: "rowNoHeader" }];
}

const lineAt = (text, place) => text.slice(0, place).split("\n").length;

function* ofJsonLines(text) {
  let line = 0;
  for (const own of text.split("\n")) {
    line += 1;
    if (own.trim()) yield { line, ...ofObject(parsed(own)) };
  }
}

function parsed(text) {
  try { return JSON.parse(text); } catch { return null; }
}

function ofObject(value) {
  if (value === null || typeof value !== "object" || Array.isArray(value)) return { key: "rowNotJson" };
  const { question, context = null, id = null } = value;
  if (typeof question !== "string" || !question.trim()) return { key: "rowNoQuestion" };
  if (context !== null && typeof context !== "string") return { key: "rowBadContext" };
  if (id !== null && typeof id !== "string" && typeof id !== "number") return { key: "rowBadId" };
  if (![question, context ?? "", String(id)].every((text) => text.isWellFormed())) return { key: "rowNotText" };
  return { question, context: context?.trim() ? context : null, id: id === null || id === "" ? null : String(id) };
}

function* ofTable(text, from, delimiter) {
  let header = null;
  for (const { line, cells, key } of records(text, from, delimiter)) {
    if (key) {
      yield { line, key };
    } else if (!header) {
      header = cells.map((cell) => cell.trim());
      const twice = header.find((name, place) => name && header.indexOf(name) !== place);
      if (twice) {
        yield { line, key: "rowTwice", values: [twice] };
        return;
      }
    } else if (cells.length > header.length) {
      yield { line, key: "rowTooLong", values: [cells.length, header.length] };
    } else if (cells.some((cell) => cell.trim())) {
      yield { line, ...ofObject(Object.fromEntries(cells.map((cell, place) => [header[place], cell]))) };
    }
  }
}

/** The records of a table with the lines they begin at; after a broken one, reading goes on with the next line. */
function* records(text, from, delimiter) {
  let line = lineAt(text, from);
  for (let start = from; start < text.length;) {
    const record = readRecord(text, start, delimiter);
    const end = record.end ?? nextLine(text, start);
    yield { line, ...record };
    line += text.slice(start, end).split("\n").length - 1;
    start = end;
  }
}

function nextLine(text, place) {
  const end = text.indexOf("\n", place);
  return end < 0 ? text.length : end + 1;
}

/** The cells of one record and where the next one begins, or what is wrong with it. */
function readRecord(text, start, delimiter) {
  const cells = [];
  for (let at = start; ;) {
    const cell = text[at] === '"' ? quoted(text, at + 1) : plain(text, at, delimiter);
    if (!cell) return { key: "rowOpenQuote" };
    cells.push(cell.value);
    at = cell.end;
    if (at >= text.length || text[at] === "\n") return { cells, end: at + 1 };
    if (text[at] !== delimiter) return { key: "rowAfterQuote" };
    at += 1;
  }
}

function quoted(text, start) {
  for (let at = start; ;) {
    const end = text.indexOf('"', at);
    if (end < 0) return null;
    if (text[end + 1] !== '"') return { value: text.slice(start, end).replaceAll('""', '"'), end: end + 1 };
    at = end + 2;
  }
}

function plain(text, start, delimiter) {
  let end = start;
  while (end < text.length && text[end] !== delimiter && text[end] !== "\n") end += 1;
  return { value: text.slice(start, end), end };
}
