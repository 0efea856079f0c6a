/* Talking to the service: JSON, and answers as streams of events.

Always true: an error is a `Lost` (no answer, or half of one) or a `Problem` (the service says what is wrong); what was
aborted raises AbortError. The token is kept for this tab only, and is sent in a header only. */

export class Lost extends Error {}

/** What a service's problem+json says. */
export class Problem extends Error {
  constructor(facts, status, retryAfter = null) {
    super(facts.detail || facts.title || `the service answered ${status}`);
    this.status = status;
    this.parameter = facts.parameter ?? null;
    this.position = facts.position ?? null;
    this.hint = facts.hint ?? null;
    this.retryAfter = Number(retryAfter) || null;
  }
}

let token = keptToken();

function keptToken() {
  try {
    return sessionStorage.getItem("token");
  } catch {
    return null; // storage may be forbidden
  }
}

export function useToken(value) {
  token = value;
  try {
    sessionStorage.setItem("token", value);
  } catch {
    // it holds until the page is left, then
  }
}

export const hasToken = () => Boolean(token);

async function request(path, signal, accept) {
  const headers = { Accept: accept };
  if (token) headers.Authorization = `Bearer ${token}`;
  const response = await answered(fetch(path, { signal, headers, cache: "no-store" }));
  if (!response.ok && !(path === "/healthz" && response.status === 503)) throw await problemOf(response);
  return response;
}

/** What a promise of the network gives; `Lost` when the connection is what failed. */
async function answered(promise) {
  try {
    return await promise;
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Lost(error.message);
  }
}

async function problemOf(response) {
  const text = await answered(response.text());
  let facts = {};
  try {
    facts = JSON.parse(text);
  } catch {
    // a proxy's page, perhaps: its status says enough
  }
  return new Problem(facts ?? {}, response.status, response.headers.get("Retry-After"));
}

export async function ask(path, signal) {
  const response = await request(path, signal, "application/json");
  return answered(response.json());
}

/** The events of an answer, as many at a time as came together. Its last one is an `end`, or this raises. */
export async function* stream(path, signal) {
  const response = await request(path, signal, "application/x-ndjson");
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let last = null;
  for (;;) {
    const { done, value } = await answered(reader.read());
    if (done) break;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    const events = lines.filter(Boolean).map((line) => JSON.parse(line));
    last = events.at(-1) ?? last;
    if (events.length) yield events;
    if (last?.type === "error") throw new Problem(last.problem ?? {}, last.problem?.status ?? 500);
  }
  if (last?.type !== "end") throw new Lost("the answer broke off");
}
