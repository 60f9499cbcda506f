// The language of the page: its texts, its figures, and who must be drawn anew when it changes.
import { TEXTS } from "./texts.js";

let language = "en";
const drawn = [];

/** The text of a key; what a text depends on follows the key. */
export function t(key, ...values) {
  const text = TEXTS[language][key];
  return typeof text === "function" ? text(...values) : text;
}

/** The text of a key that comes from outside, or "" where there is none of it. */
export const known = (key) => (key in TEXTS[language] ? t(key) : "");

/** Call a function whenever the language has changed. */
export const onLanguage = (redraw) => drawn.push(redraw);

export function setLanguage(next) {
  language = next in TEXTS ? next : "en";
  document.documentElement.lang = language;
  document.title = `aspire-llm – ${t("title")}`;
  for (const [attribute, set] of Object.entries(STATIC)) {
    document.querySelectorAll(`[data-${attribute}]`).forEach((one) => set(one, t(one.dataset[attribute])));
  }
  drawn.forEach((redraw) => redraw());
}

const STATIC = {
  text: (element, text) => { element.textContent = text; },
  label: (element, text) => element.setAttribute("aria-label", text),
  title: (element, text) => { element.title = text; },
  placeholder: (element, text) => { element.placeholder = text; },
};

/** A share of 1 in percent; null is not measured. */
export const percent = (share, digits = 0) => (isFigure(share) ? `${(100 * share).toFixed(digits)}%` : t("unknown"));

/** A chosen share in percent, with all its digits: 0.5%. */
export const chosenPercent = (share) => `${Number((100 * share).toPrecision(6))}%`;

/** Shares in percent, with as many digits as it takes to tell them apart, and from 0% and 100%. */
export function percents(...shares) {
  const digits = [0, 1, 2].find((count) => {
    const texts = shares.map((share) => percent(share, count));
    const ends = [percent(0, count), percent(1, count)];
    const isRounded = shares.some((share, place) => share > 0 && share < 1 && ends.includes(texts[place]));
    return !isRounded && new Set(texts).size === new Set(shares).size;
  });
  return shares.map((share) => percent(share, digits ?? 3));
}

export const decimal = (value, digits = 3) => (isFigure(value) ? value.toFixed(digits).replace("-", "−") : t("unknown"));

export const count = (value) => (isFigure(value) ? value.toLocaleString(language) : t("unknown"));

/** A count as people say it: 135M. */
export const short = (value) =>
  (isFigure(value) ? new Intl.NumberFormat(language, { notation: "compact" }).format(value) : t("unknown"));

const isFigure = (value) => Number.isFinite(value);
