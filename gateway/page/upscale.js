// POST /upscale as a stream of events: https://html.spec.whatwg.org/multipage/server-sent-events.html

const NO_CAPACITY = "insufficient capacity"; // ai-runner's words, with status 500
const RETRY_AFTER_S = 5; // where a busy server does not say

/**
 * What went wrong, as a sentence for the person. status: of HTTP, or 0 when there was no answer.
 * fields: what is wrong with each, by name. retryAfter: seconds, of a server that is busy.
 */
export class UpscaleError extends Error {
  constructor(message, status = 0, fields = {}, retryAfter = null) {
    super(message);
    Object.assign(this, { status, fields, retryAfter });
  }
}

/**
 * Upscale; calls onEvent(name, data) for accepted, queued, progress, decoding and preview and returns the result's data.
 * Throws UpscaleError, or the signal's AbortError.
 */
export async function upscale(form, token, signal, onEvent) {
  const headers = { Accept: "text/event-stream" };
  if (token) headers.Authorization = `Bearer ${token}`;
  let response;
  try {
    response = await fetch("upscale", { method: "POST", body: form, headers, signal });
  } catch (error) {
    if (signal.aborted) throw error;
    throw new UpscaleError("The server cannot be reached. Is it still running?");
  }
  if (!response.ok) throw await errorOfResponse(response);
  try {
    for await (const { name, data } of events(response.body)) {
      if (name === "result") return data;
      if (name === "error") throw errorOf(data.status, data.detail);
      onEvent(name, data);
    }
  } catch (error) {
    if (signal.aborted || error instanceof UpscaleError) throw error;
  }
  throw new UpscaleError("The connection broke before the picture was finished. Try again.");
}

/**
 * What a picture of so many pixels will cost now, as POST /estimate says: accepted, reason, seconds
 * and so on. fields: num_inference_steps, guidance_scale and output_format, where they are chosen.
 */
export async function estimate(width, height, fields = {}) {
  const response = await fetch("estimate", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ width, height, ...fields }),
  });
  if (!response.ok) throw await errorOfResponse(response);
  return response.json();
}

async function errorOfResponse(response) {
  let detail;
  try {
    ({ detail } = await response.json());
  } catch {
    // a proxy's own page, perhaps
  }
  return errorOf(response.status, detail, response.headers.get("Retry-After"));
}

/** detail: {msg}, or FastAPI's list of fields that are wrong. */
function errorOf(status, detail, retryAfter = null) {
  const message = sentence(detail) ?? `The server answered with status ${status}.`;
  const isBusy = status === 429 || message.toLowerCase().includes(NO_CAPACITY);
  return new UpscaleError(message, status, fieldsOf(detail), isBusy ? secondsOf(retryAfter) : null);
}

function secondsOf(retryAfter) {
  if (retryAfter === null) return RETRY_AFTER_S;
  if (/^\d+$/.test(retryAfter)) return Number(retryAfter);
  return Math.max(0, (Date.parse(retryAfter) - Date.now()) / 1000) || RETRY_AFTER_S;
}

function fieldsOf(detail) {
  if (Array.isArray(detail)) {
    return Object.fromEntries(detail.map(({ loc, msg }) => [loc.at(-1), `${loc.at(-1)}: ${msg}.`]));
  }
  const [name] = detail?.msg?.match(/^[a-z_]+(?= (is|has) )/) ?? [];
  return name ? { [name]: detail.msg } : {};
}

function sentence(detail) {
  if (!detail) return null;
  const text = Array.isArray(detail) ? Object.values(fieldsOf(detail)).join("\n") : detail.msg;
  return text.charAt(0).toUpperCase() + text.slice(1);
}

async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const from = Math.max(0, text.length - 1); // a result of megabytes is searched only once
    text += value;
    if (text.indexOf("\n\n", from) < 0) continue;
    const blocks = text.split("\n\n");
    text = blocks.pop();
    for (const block of blocks) {
      const lines = block.split("\n");
      const name = lines.find((line) => line.startsWith("event: "))?.slice(7);
      const data = lines.filter((line) => line.startsWith("data: ")).map((line) => line.slice(6));
      if (name) yield { name, data: JSON.parse(data.join("\n")) };
    }
  }
}
