// The page: a form, a queue of pictures, and one of them on the stage.

import { cropped } from "./crop.js";
import { blame, check, entries, estimated, isRight, scale } from "./fields.js";
import { canBeReduced, isTooLarge, mostPixels, refusal } from "./limits.js";
import { Picture } from "./picture.js";
import { downloadAll, drawRows } from "./rows.js";
import { drawStage } from "./stage.js";
import { sent } from "./sending.js";
import { UpscaleError, estimate } from "./upscale.js";
import { duration, megabytes, number, size } from "./words.js";

const HEALTH_INTERVAL_MS = 2000;
const ESTIMATE_DELAY_MS = 300; // after the last change
const TOKEN = "upscale-token";
const SCALE = 4;
const STATUSES = {
  LOADING: "The model is loading.",
  ERROR: "The model is being started again.",
  IDLE: "The server is shutting down.",
};

const $ = (id) => document.getElementById(id);
const pictures = []; // of this session, until they are closed
let shown = null; // one of them
let isPaused = false;
let model = null; // GET /model, while the server is ready
let estimating = 0; // a timer

// --- the model ---

async function watchHealth() {
  try {
    const health = await fetch("health");
    const { status, stage } = await health.json();
    const answer = health.ok ? await fetch("model") : null;
    model = answer?.ok ? await answer.json() : null;
    if (model) showModel();
    else if (stage) $("model").textContent = `The model is loading: ${stage}.`;
    else $("model").textContent = STATUSES[status] ?? STATUSES.LOADING;
  } catch {
    model = null;
    $("model").textContent = "The server cannot be reached.";
  }
  draw();
  planEstimate();
}

function showModel() {
  $("model").textContent = `Model: ${model.model_id}`;
  $("limits").textContent = `at most ${megabytes(model.max_body_bytes)} and ${number(model.max_input_pixels)} pixels`;
  $("prompt-note").hidden = model.prompt_has_effect;
  $("noise_level").max = model.max_noise_level;
  for (const name of ["num_inference_steps", "guidance_scale", "noise_level", "step_cache"]) {
    $(name).placeholder = model[name];
  }
  for (const part of [$("step_cache"), document.querySelector("label[for=step_cache]")]) {
    part.hidden = !model.has_step_cache;
  }
  if (!model.has_step_cache) $("step_cache").value = "";
  const [own, ...others] = model.schedulers;
  const chosen = $("scheduler").value;
  $("scheduler").replaceChildren(
    new Option(own, ""),
    ...others.map((name) => new Option(name, name, false, name === chosen)),
  );
  if (!model.has_safety_checker) {
    $("safety_check").checked = false;
    $("safety_check").disabled = true;
    $("safety-note").hidden = false;
  }
}

// --- the pictures ---

async function choose(files) {
  const added = [...files].map((file) => new Picture(file));
  if (added.length === 0) return;
  pictures.push(...added);
  show(added[0]);
  await Promise.all(added.map(async (picture) => {
    await picture.look();
    draw();
  }));
  if (shown === added[0]) show(shown);
}

function show(picture) {
  shown = picture;
  $("estimate").textContent = "";
  $("thumbnail").hidden = !picture?.width;
  if (picture?.width) $("thumbnail").src = picture.url;
  draw();
  planEstimate();
}

function close(picture) {
  picture.close();
  pictures.splice(pictures.indexOf(picture), 1);
  if (shown === picture) show(pictures.at(-1) ?? null);
  draw();
  (document.querySelector("#pictures [aria-current=true]") ?? $("image")).focus();
}

function retry(picture) {
  Object.assign(picture, { state: "waiting", error: "", told: "Waiting" });
  isPaused = false;
  show(picture);
  runNext();
}

$("image").addEventListener("change", async () => {
  const files = [...$("image").files];
  $("image").value = ""; // the same file may be chosen again
  await choose(files);
});
document.addEventListener("paste", (event) => choose(imagesIn(event.clipboardData)));
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  $("drop").classList.add("over");
});
document.addEventListener("dragleave", () => $("drop").classList.remove("over"));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  $("drop").classList.remove("over");
  choose(event.dataTransfer.files);
});

function imagesIn(data) {
  return [...(data?.files ?? [])].filter((item) => item.type.startsWith("image/"));
}

// --- before it is sent ---

function wouldBeSent(picture) {
  return model && picture.state === "ready" && !refusal(picture, model);
}

function planEstimate() {
  clearTimeout(estimating);
  estimating = setTimeout(showEstimate, ESTIMATE_DELAY_MS);
}

async function showEstimate() {
  const picture = shown;
  if (!picture?.width || !wouldBeSent(picture) || !isRight()) return;
  try {
    const cost = await estimate(picture.width, picture.height, estimated());
    if (picture === shown && picture.state === "ready") $("estimate").textContent = sentence(picture, cost);
  } catch (error) {
    if (!(error instanceof UpscaleError)) throw error;
    $("estimate").textContent = "";
  }
}

function sentence(picture, { accepted, reason, seconds, output_width, output_height }) {
  if (!accepted) {
    const isBusy = reason.toLowerCase().includes("insufficient capacity");
    return isBusy ? "The server is busy: the picture will wait for its turn." : `It would be refused: ${reason}`;
  }
  const taken = [output_width / SCALE, output_height / SCALE]; // of the image
  const reduced = taken[0] < picture.width ? `Reduced to ${size(...taken)}. ` : "";
  const steps = $("num_inference_steps").value || model.num_inference_steps;
  const time = seconds === null ? "" : `, about ${duration(seconds)}`;
  return `${reduced}${steps} steps${time}.`;
}

$("form").addEventListener("input", () => {
  draw();
  planEstimate();
});
$("reduce").addEventListener("click", () => {
  $("fit").checked = true;
  $("fit").dispatchEvent(new Event("input", { bubbles: true }));
  $("fit").dispatchEvent(new Event("change", { bubbles: true }));
  $("submit").focus();
});
$("cut").addEventListener("click", async () => {
  const whole = shown;
  const file = await cropped(whole, mostPixels(model));
  if (!file) return;
  const part = new Picture(file);
  pictures.splice(pictures.indexOf(whole), 1, part);
  whole.close();
  await part.look();
  show(part);
  $("submit").focus();
});

// --- requests ---

$("form").addEventListener("submit", (event) => {
  event.preventDefault();
  if (!model || !check()) return;
  for (const picture of pictures.filter(wouldBeSent)) Object.assign(picture, { state: "waiting", told: "Waiting", entries: entries() });
  isPaused = false;
  runNext();
});

$("cancel").addEventListener("click", () => {
  for (const picture of pictures) if (picture.state === "waiting") Object.assign(picture, { state: "ready", told: "Ready" });
  pictures.find((picture) => picture.controller)?.controller.abort();
});
$("pause").addEventListener("click", () => {
  isPaused = !isPaused;
  runNext();
});
$("download-all").addEventListener("click", () => downloadAll(pictures));
addEventListener("pagehide", () => pictures.forEach((picture) => picture.controller?.abort()));
addEventListener("beforeunload", (event) => {
  if (pictures.some((picture) => picture.result || picture.controller)) event.preventDefault();
});

/** The next that waits, one at a time: each has the whole machine, and what is shown goes on. */
async function runNext() {
  draw();
  if (isPaused || pictures.some((picture) => picture.controller)) return;
  const picture = pictures.find(({ state }) => state === "waiting");
  if (!picture) return;
  await run(picture);
  runNext();
}

async function run(picture) {
  picture.controller = new AbortController();
  Object.assign(picture, { state: "running", told: "Sending the image", preview: "", share: null });
  if (!shown || shown.state !== "running") show(picture);
  announce("Upscaling.");
  $("stage").scrollIntoView({ block: "nearest" });
  try {
    picture.result = await sent(picture, token(), draw);
    Object.assign(picture, { state: "done", told: `Done, ${size(picture.result.width, picture.result.height)}` });
    announce(`Done: ${size(picture.result.width, picture.result.height)}.`);
  } catch (error) {
    if (picture.controller.signal.aborted) {
      Object.assign(picture, { state: "ready", told: "Cancelled" });
      announce("Cancelled.");
    } else if (error instanceof UpscaleError) {
      fail(picture, error);
    } else {
      throw error;
    }
  } finally {
    picture.controller = null;
    draw();
  }
}

function token() {
  const typed = $("token").value.trim();
  if (typed) sessionStorage.setItem(TOKEN, typed);
  return sessionStorage.getItem(TOKEN);
}

function fail(picture, error) {
  if (error.status === 401) {
    sessionStorage.removeItem(TOKEN);
    const isFirst = $("token-field").hidden;
    $("token-field").hidden = false;
    $("token").focus();
    Object.assign(picture, { state: "ready", told: "Ready", error: isFirst ? "" : error.message });
    isPaused = true;
    return isFirst ? announce("This server asks for a token.") : undefined;
  }
  const isBlamed = Object.entries(error.fields).filter(([name, message]) => blame(name, message)).length > 0;
  picture.fail(error.message);
  if (isBlamed) Object.assign(picture, { state: "ready", told: "Ready", error: "" });
  if (error.status === 0 || error.status >= 500) watchHealth();
}

// --- what is shown ---

function draw() {
  drawRows(pictures, shown, { show, retry, close });
  drawStage(shown, sessionStorage.getItem(TOKEN) !== null);
  const isRunning = pictures.some((picture) => picture.controller);
  const refused = model && shown?.state === "ready" ? refusal(shown, model) : "";
  const focused = [$("submit"), $("cancel")].includes(document.activeElement);
  const ready = pictures.filter(wouldBeSent).length;
  $("submit").disabled = ready === 0;
  $("submit").textContent = ready > 1 ? `Upscale ${ready}` : "Upscale";
  $("submit").hidden = isRunning && ready === 0;
  $("cancel").hidden = !isRunning;
  if (focused && document.activeElement.hidden) (isRunning ? $("cancel") : $("submit")).focus();
  $("pause").textContent = isPaused ? "Go on" : "Pause";
  $("chosen").textContent = shown ? described(shown) : "or several; drop them here, or paste";
  $("limits").hidden = shown !== null;
  $("error").textContent = shown?.error || refused;
  $("error").hidden = !$("error").textContent;
  $("too-large").hidden = !refused || !isTooLarge(shown, model);
  $("reduce").hidden = !refused || !canBeReduced(shown, model);
  $("estimate").hidden = shown?.state !== "ready" || Boolean(refused);
}

function described({ file, width, height }) {
  if (!width) return file.name;
  const [wide, high] = [width, height].map((side) => Math.round(side * scale()));
  return `${file.name}, ${size(width, height)}, becomes ${size(wide, high)}`;
}

function announce(message) {
  $("announcement").textContent = message;
}

$("reuse").addEventListener("click", () => {
  $("seed").value = $("result-seed").textContent;
  document.querySelector("details").open = true;
  $("seed").focus();
});

watchHealth();
setInterval(() => {
  if (!model && !pictures.some((picture) => picture.controller) && !document.hidden) watchHealth();
}, HEALTH_INTERVAL_MS);
