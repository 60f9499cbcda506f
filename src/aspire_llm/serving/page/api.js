// What is asked of the server, and what goes wrong with it.
import { t } from "./language.js";

const DEFAULT_WAIT = 2; // seconds, where the server names none

/** Status 0 is no answer at all; `message` is the server's own, in English, or "". */
export class ApiError extends Error {
  constructor(status, message = "", param = null, retryAfter = null) {
    super(message);
    Object.assign(this, { status, param, retryAfter });
  }

  /** What happened, in the language of the page. */
  get lead() {
    if (this.status === 429) return t("error429", this.retryAfter);
    return KNOWN.includes(this.status) ? t(`error${this.status}`) : t("errorOther", this.status);
  }
}

const KNOWN = [0, 400, 401, 413, 422, 503, 504];

/** @returns {Promise<{runs: object[]}>} */
export const getRuns = (signal) => request("v1/runs", { signal });

/**
 * @param {{model: string, questions: object[], target_risk: number|null, candidates: number}} body
 * @returns {Promise<object[]>} An answer for each question, in their order.
 */
export async function postQuestions(body, signal) {
  const headers = { "Content-Type": "application/json" };
  const { answers } = await request("v1/answer", { method: "POST", headers, body: JSON.stringify(body), signal });
  if (answers?.length !== body.questions.length) throw new ApiError(0);
  return answers;
}

async function request(path, options) {
  let response;
  try {
    response = await fetch(path, { cache: "no-store", ...options });
  } catch (error) {
    throw options.signal?.aborted ? error : new ApiError(0);
  }
  const content = await response.json().catch(() => null);
  if (options.signal?.aborted) throw options.signal.reason;
  if (response.ok && content) return content;
  const { message = "", param = null } = content?.error ?? {};
  const seconds = Number(response.headers.get("Retry-After"));
  throw new ApiError(response.status, message, param, seconds > 0 ? Math.ceil(seconds) : DEFAULT_WAIT);
}

/**
 * Call until the answer is none of the statuses that pass by themselves.
 * @param {() => Promise<*>} call
 * @param {number[]} statuses
 * @param {(error: ApiError) => void} onWait
 */
export async function patiently(call, statuses, onWait, signal) {
  for (;;) {
    try {
      return await call();
    } catch (error) {
      if (!(error instanceof ApiError) || !statuses.includes(error.status)) throw error;
      onWait(error);
      await pause(error.retryAfter, signal);
    }
  }
}

function pause(seconds, signal) {
  signal?.throwIfAborted();
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, 1000 * seconds);
    signal?.addEventListener("abort", () => { clearTimeout(timer); reject(signal.reason); }, { once: true });
  });
}
