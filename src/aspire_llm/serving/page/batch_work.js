// Many questions, a few per request, in their order; it can be stopped, and goes on where it was.
import { ApiError, patiently, postQuestions } from "./api.js";

const AT_ONCE = 16; // questions per request, so that there is progress to see
const TOO_MUCH = [400, 413, 422];

export class BatchWork {
  /**
   * @param {object} run
   * @param {import("./rows.js").Row[]} rows
   * @param {{target_risk: number|null, candidates: number}} how
   */
  constructor(run, rows, how) {
    Object.assign(this, { run, rows, how, answers: [] });
    this.size = Math.min(AT_ONCE, run.max_questions);
  }

  get isDone() { return this.answers.length === this.rows.length; }

  /**
   * Answer what is left.
   * @param {(answers: object[]) => void} onAnswers
   * @param {(error: ApiError) => void} onWait The server is busy or not ready; it is asked again by and by.
   */
  async goOn(signal, onAnswers, onWait) {
    while (!this.isDone) {
      const rows = this.rows.slice(this.answers.length, this.answers.length + this.size);
      const answers = await this.put(rows, signal, onWait);
      this.answers.push(...answers);
      onAnswers(answers);
    }
  }

  /** Where the server refuses some questions, they are halved until only the bad ones are left out. */
  async put(rows, signal, onWait) {
    const body = { model: this.run.name, questions: rows, ...this.how };
    try {
      const answers = await patiently(() => postQuestions(body, signal), [429, 503], onWait, signal);
      return answers.map((own, place) => ({ ...own, id: rows[place].id }));
    } catch (error) {
      if (!isAboutQuestions(error)) throw error;
      if (rows.length === 1) return [unanswered(rows[0], error.message)];
      const half = Math.ceil(rows.length / 2);
      const first = await this.put(rows.slice(0, half), signal, onWait);
      return [...first, ...await this.put(rows.slice(half), signal, onWait)];
    }
  }
}

const isAboutQuestions = (error) =>
  error instanceof ApiError && TOO_MUCH.includes(error.status) &&
  (error.status === 413 || String(error.param ?? "").includes("question"));

/** As the server says it of a question that could not be put to the model. */
function unanswered({ id, question }, message) {
  return {
    id, question, answer: null, text: "", abstained: true, reason: null, why: "", confidence: null,
    selection_score: null, threshold: null, novelty: null, context_cut: false, guarantee: null, candidates: [],
    error: message,
  };
}
