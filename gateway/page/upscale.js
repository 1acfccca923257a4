// POST /upscale as a stream of events: https://html.spec.whatwg.org/multipage/server-sent-events.html

/** What went wrong, as a sentence for the person; status: of HTTP, or 0 when there was no answer. */
export class UpscaleError extends Error {
  constructor(message, status = 0) {
    super(message);
    this.status = status;
  }
}

/**
 * Upscale; calls onEvent(name, data) for queued, progress and preview and returns the result's data.
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
  if (!response.ok) throw await errorOf(response);
  try {
    for await (const { name, data } of events(response.body)) {
      if (name === "result") return data;
      if (name === "error") throw new UpscaleError(sentence(data.detail), data.status);
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
  if (!response.ok) throw await errorOf(response);
  return response.json();
}

async function errorOf(response) {
  let detail;
  try {
    ({ detail } = await response.json());
  } catch {
    // a proxy's own page, perhaps
  }
  const fallback = `The server answered with status ${response.status}.`;
  return new UpscaleError(detail ? sentence(detail) : fallback, response.status);
}

/** detail: {msg}, or FastAPI's list of fields that are wrong. */
function sentence(detail) {
  const text = Array.isArray(detail)
    ? detail.map(({ loc, msg }) => `${loc.at(-1)}: ${msg}.`).join("\n")
    : detail.msg;
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
