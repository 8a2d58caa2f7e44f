// Requests to the server; every failure becomes a Problem that can be shown as it is.

import { bytes } from "./wording.js";

const PATIENCE = 60_000; // ms

let limit = Infinity; // bytes of a body
let token = "";

/** What went wrong, in a sentence for the reader. */
export class Problem extends Error {
  constructor(message, { again = false, token = false } = {}) {
    super(message);
    this.again = again; // the same may work in a moment
    this.token = token; // it is the token that is wrong
  }
}

/** From now on, requests carry this token. */
export function carry(given) {
  token = given;
}

/** Sends bytes; gives the answer as a Response. `reached` is called once they are there, whatever the answer is. */
export async function send(path, body, signal, reached) {
  // The server would hang up in the middle, which looks as if it were gone.
  if (body.size > limit) throw new Problem(`That is ${bytes(body.size)}; this server takes up to ${bytes(limit)}.`);
  const headers = { "Content-Type": "application/octet-stream" };
  // A header holds bytes: the server compares UTF-8.
  if (token) headers.Authorization = `Bearer ${asBytes(token)}`;
  const answer = await reach(path, { method: "POST", body, headers, signal });
  reached();
  if (!answer.ok) throw await refusal(answer);
  return answer;
}

/** What the server can do. */
export async function about() {
  const answer = await reach("about", {});
  if (!answer.ok) throw await refusal(answer);
  const facts = await answer.json();
  limit = facts.max_bytes;
  return facts;
}

/** A sample picture as a file. */
export async function sample({ name, url }) {
  const answer = await reach(url, {});
  if (!answer.ok) throw new Problem(`The sample cannot be fetched (${answer.status}).`, { again: true });
  const blob = await answer.blob();
  return new File([blob], name, { type: blob.type });
}

async function reach(path, { signal, ...rest }) {
  const limit = AbortSignal.timeout(PATIENCE);
  try {
    return await fetch(path, { ...rest, signal: signal ? AbortSignal.any([signal, limit]) : limit });
  } catch (error) {
    if (signal?.aborted) throw error;
    const reason = error.name === "TimeoutError" ? "took too long to answer" : "does not answer; is it still running?";
    throw new Problem(`The server ${reason}`, { again: true });
  }
}

async function refusal(answer) {
  const said = await answer.json().then((content) => content.error, () => null);
  if (answer.status === 401) {
    return new Problem("The server asks for an access token, and this one is missing or wrong.", { token: true });
  }
  if (answer.status === 503) {
    const seconds = Number(answer.headers.get("Retry-After")) || 1;
    return new Problem(`The server is busy. Try again in ${seconds} s.`, { again: true });
  }
  return new Problem(`The server refused: ${said ?? `status ${answer.status}`}.`, { again: answer.status >= 500 });
}

function asBytes(text) {
  return String.fromCharCode(...new TextEncoder().encode(text));
}
