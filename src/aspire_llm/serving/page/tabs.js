// Tabs as WAI-ARIA has them: one stop of the Tab key, arrows between them.
import { byId } from "./dom.js";

/** @param {(panel: string) => void} onChange Gets the id of the panel that is shown. */
export function startTabs(list, onChange) {
  const tabs = [...list.querySelectorAll("[role=tab]")];
  const select = (chosen) => {
    for (const tab of tabs) {
      tab.setAttribute("aria-selected", tab === chosen);
      tab.tabIndex = tab === chosen ? 0 : -1;
      byId(tab.getAttribute("aria-controls")).hidden = tab !== chosen;
    }
    onChange(chosen.getAttribute("aria-controls"));
  };
  tabs.forEach((tab) => tab.addEventListener("click", () => select(tab)));
  list.addEventListener("keydown", (event) => {
    const next = neighbour(event.key, tabs.indexOf(document.activeElement), tabs.length);
    if (next === null) return;
    event.preventDefault();
    tabs[next].focus();
    select(tabs[next]);
  });
  select(tabs[0]);
}

function neighbour(key, place, total) {
  switch (key) {
    case "ArrowRight": return (place + 1) % total;
    case "ArrowLeft": return (place + total - 1) % total;
    case "Home": return 0;
    case "End": return total - 1;
    default: return null;
  }
}
