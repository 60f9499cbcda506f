// The switches at the top: language and theme, kept in this browser.
import { setLanguage } from "./language.js";

const LANGUAGE = "aspire-llm.language", THEME = "aspire-llm.theme";

export function startSettings() {
  const preferred = navigator.language.toLowerCase().startsWith("ko") ? "ko" : "en";
  startSwitch("language", stored(LANGUAGE) ?? preferred, (value) => { keep(LANGUAGE, value); setLanguage(value); });
  startSwitch("theme", stored(THEME) ?? "auto", (value) => { keep(THEME, value); setTheme(value); });
}

/** Check the radio of a value, or else the first one, and use what is checked, now and after every change. */
function startSwitch(name, value, use) {
  const radios = [...document.querySelectorAll(`input[name=${name}]`)];
  const chosen = radios.find((radio) => radio.value === value) ?? radios[0];
  chosen.checked = true;
  radios.forEach((radio) => radio.addEventListener("change", () => use(radio.value)));
  use(chosen.value);
}

function setTheme(theme) {
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}

// A browser may forbid storage; then every visit begins anew.
function stored(key) {
  try { return localStorage.getItem(key); } catch { return null; }
}

function keep(key, value) {
  try { localStorage.setItem(key, value); } catch { /* nothing is kept */ }
}
