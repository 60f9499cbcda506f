// The answers of a batch, as many as one cares to look at.
import { badge } from "./answer.js";
import { byId, english, make } from "./dom.js";
import { count, percents, t } from "./language.js";

const PAGE = 50;

export class BatchList {
  constructor() {
    this.clear();
    byId("batch-more").addEventListener("click", () => this.more());
  }

  clear() {
    this.answers = [];
    this.limit = PAGE;
    this.redraw();
  }

  /** Add answers below the others. */
  add(answers) {
    const room = Math.max(0, this.limit - this.answers.length);
    this.answers.push(...answers);
    byId("batch-results").append(...answers.slice(0, room).map(item));
    this.count();
  }

  redraw() {
    byId("batch-results").replaceChildren(...this.answers.slice(0, this.limit).map(item));
    this.count();
  }

  more() {
    const next = this.limit;
    this.limit += PAGE;
    byId("batch-results").append(...this.answers.slice(next, this.limit).map(item));
    this.count();
    byId("batch-results").children[next].focus({ preventScroll: true });
  }

  count() {
    const failed = this.answers.filter((own) => own.error).length;
    const withheld = this.answers.filter((own) => !own.error && own.abstained).length;
    const given = this.answers.length - failed - withheld;
    byId("batch-count").textContent = t("batchCount", count(given), count(withheld), count(failed));
    byId("batch-more").hidden = this.answers.length <= this.limit;
  }
}

function item(answer) {
  const { confidence } = answer;
  return make(
    "li", { tabindex: -1, class: answer.abstained ? "withheld" : "given" },
    make("p", { class: "asked" }, answer.question),
    make("p", { class: "said" }, answer.error ? english(answer.error) : answer.text),
    make(
      "p", { class: "sure" },
      badge(answer, { withheld: "withheldShort" }),
      confidence === null ? null : ` ${t("sure", ...percents(confidence))}`,
    ),
  );
}
