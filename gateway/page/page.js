// The page: a form, the course of one request, and its result.

import { UpscaleError, upscale } from "./upscale.js";

const OPTIONS = [
  "negative_prompt",
  "num_inference_steps",
  "scheduler",
  "guidance_scale",
  "noise_level",
  "seed",
];
const HEALTH_INTERVAL_MS = 2000;
const TOKEN = "upscale-token";
const SCALE = 4;
const SUFFIXES = { png: "png", jpeg: "jpg", webp: "webp" };
const STATUSES = {
  LOADING: "The model is loading.",
  ERROR: "The model is being started again.",
  IDLE: "The server is shutting down.",
};

const $ = (id) => document.getElementById(id);
let file = null;
let controller = null; // of the request that runs
let model = null; // GET /model, while the server is ready

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
  showButtons();
}

function showModel() {
  $("model").textContent = `Model: ${model.model_id}`;
  $("limits").textContent = `at most ${megabytes(model.max_body_bytes)} and ${number(model.max_input_pixels)} pixels`;
  $("prompt-note").hidden = model.prompt_has_effect;
  $("noise_level").max = model.max_noise_level;
  for (const name of ["num_inference_steps", "guidance_scale", "noise_level"]) {
    $(name).placeholder = model[name];
  }
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

function number(value) {
  return value.toLocaleString("en", { maximumFractionDigits: 1 });
}

function megabytes(bytes) {
  return `${number(bytes / 1e6)} MB`;
}

// --- the image ---

function choose(chosen) {
  if (!chosen || controller) return;
  file = chosen;
  for (const id of ["thumbnail", "before"]) {
    URL.revokeObjectURL($(id).src);
    $(id).src = URL.createObjectURL(file);
  }
  $("thumbnail").hidden = false;
  $("chosen").textContent = file.name;
  $("limits").hidden = true;
  $("stage").hidden = true;
  showError("");
  showButtons();
}

$("thumbnail").addEventListener("load", () => {
  const { naturalWidth: width, naturalHeight: height } = $("thumbnail");
  $("picture").style.setProperty("--ratio", width / height);
  $("chosen").textContent = `${file.name}, ${size(width, height)}, becomes ${size(SCALE * width, SCALE * height)}`;
});
$("thumbnail").addEventListener("error", () => {
  $("thumbnail").hidden = true; // the server may know a format that the browser does not
});
$("image").addEventListener("change", () => choose($("image").files[0]));
document.addEventListener("paste", (event) => choose(imageIn(event.clipboardData)));
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  $("drop").classList.add("over");
});
document.addEventListener("dragleave", () => $("drop").classList.remove("over"));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  $("drop").classList.remove("over");
  choose(event.dataTransfer.files[0]);
});

function imageIn(data) {
  return [...(data?.files ?? [])].find((item) => item.type.startsWith("image/"));
}

function size(width, height) {
  return `${width}\u00a0×\u00a0${height}`; // on one line
}

// --- a request ---

$("form").addEventListener("submit", (event) => {
  event.preventDefault();
  if (file && model && !controller) run();
});
$("cancel").addEventListener("click", () => controller?.abort());
addEventListener("pagehide", () => controller?.abort());

async function run() {
  const large = tooLarge();
  showError(large);
  if (large) return;
  controller = new AbortController();
  const began = performance.now();
  const form = formData();
  showStart();
  try {
    const result = await upscale(form, token(), controller.signal, showEvent);
    await showResult(result.images[0], form, (performance.now() - began) / 1000);
  } catch (error) {
    $("stage").hidden = true;
    if (controller.signal.aborted) announce("Cancelled.");
    else if (error instanceof UpscaleError) fail(error);
    else throw error;
  } finally {
    controller = null;
    showButtons();
  }
}

// The server would say so too, but a browser that still sends may not hear it.
function tooLarge() {
  const { naturalWidth: width, naturalHeight: height } = $("before");
  if (file.size > model.max_body_bytes) {
    return `The file has ${megabytes(file.size)}; this server takes at most ${megabytes(model.max_body_bytes)}.`;
  }
  if (width * height > model.max_input_pixels) {
    return `The image is ${size(width, height)}, which is ${number(width * height)} pixels; this server takes at most ${number(model.max_input_pixels)}.`;
  }
  return "";
}

function formData() {
  const form = new FormData();
  form.append("image", file);
  form.append("prompt", $("prompt").value.trim() || $("prompt").placeholder);
  form.append("safety_check", $("safety_check").checked);
  form.append("output_format", $("output_format").value);
  for (const name of OPTIONS) {
    const value = $(name).value.trim();
    if (value) form.append(name, value);
  }
  return form;
}

function token() {
  const typed = $("token").value.trim();
  if (typed) sessionStorage.setItem(TOKEN, typed);
  return sessionStorage.getItem(TOKEN);
}

function fail(error) {
  if (error.status === 401) {
    sessionStorage.removeItem(TOKEN);
    const first = $("token-field").hidden;
    $("token-field").hidden = false;
    $("token").focus();
    if (first) return announce("This server asks for a token.");
  }
  showError(error.message);
  if (error.status === 0 || error.status >= 500) watchHealth();
}

// --- what is shown ---

function showButtons() {
  const running = controller !== null;
  const focused = [$("submit"), $("cancel")].includes(document.activeElement);
  $("submit").disabled = !file || !model;
  $("submit").hidden = running;
  $("cancel").hidden = !running;
  $("image").disabled = running;
  if (focused) (running ? $("cancel") : $("submit")).focus(); // it stays in its place
}

function showError(message) {
  $("error").textContent = message;
  $("error").hidden = !message;
}

function announce(message) {
  $("announcement").textContent = message;
}

function showStart() {
  $("picture").classList.remove("compared");
  for (const id of ["after", "handle", "slider", "result"]) $(id).hidden = true;
  for (const id of ["course", "stage"]) $(id).hidden = false;
  $("progress").removeAttribute("value");
  $("state").textContent = "Sending the image";
  announce("Upscaling.");
  showButtons();
  $("stage").scrollIntoView({ block: "nearest" });
}

function showEvent(name, data) {
  if (name === "queued") {
    $("state").textContent = `Waiting; number ${data.position} in the queue`;
  } else if (name === "progress") {
    const quarter = Math.floor((4 * $("progress").value) / $("progress").max);
    $("progress").max = data.steps;
    $("progress").value = data.step;
    if (data.step === data.steps) $("state").textContent = "Decoding the picture";
    else $("state").textContent = `Step ${data.step} of ${data.steps}${remaining(data.seconds_left)}`;
    if (Math.floor((4 * data.step) / data.steps) > quarter) announce($("state").textContent);
  } else if (name === "preview") {
    $("after").src = data.url;
    $("after").hidden = false;
  }
}

function remaining(seconds) {
  if (seconds === null) return "";
  return seconds < 1 ? ", less than a second left" : `, ${Math.round(seconds)} s left`;
}

async function showResult(image, form, seconds) {
  URL.revokeObjectURL($("download").href);
  const url = image.url.startsWith("data:") ? URL.createObjectURL(blobOf(image.url)) : image.url;
  $("after").src = url;
  await $("after").decode();
  const { naturalWidth: width, naturalHeight: height } = $("after");
  $("picture").style.setProperty("--ratio", width / height);
  $("after").alt = `The result, ${size(width, height)}`;
  $("after").hidden = false;
  const comparable = $("before").naturalWidth > 0;
  $("picture").classList.toggle("compared", comparable);
  for (const id of ["handle", "slider"]) $(id).hidden = !comparable;
  slide(50);
  $("nsfw").textContent = verdict(form.get("safety_check") === "true", image.nsfw);
  $("nsfw").className = image.nsfw ? "error" : "quiet";
  $("size").textContent = size(width, height);
  $("time").textContent = `${seconds.toFixed(1)} s`;
  $("result-seed").textContent = form.get("seed") ?? image.seed; // has 64 bits, a number 53
  $("download").href = url;
  $("download").download = `${file.name.replace(/\.[^.]*$/, "")}-upscaled.${SUFFIXES[form.get("output_format")]}`;
  $("download").target = new URL(url).origin === location.origin ? "" : "_blank"; // it opens there
  $("course").hidden = true;
  $("result").hidden = false;
  announce(`Done: ${size(width, height)}.`);
}

function verdict(checked, nsfw) {
  if (!checked) return "The picture was not checked.";
  return nsfw ? "The safety checker flagged this picture." : "The safety checker flagged nothing.";
}

function blobOf(dataUrl) {
  const [head, content] = dataUrl.split(",");
  const bytes = Uint8Array.from(atob(content), (character) => character.charCodeAt(0));
  return new Blob([bytes], { type: head.slice("data:".length, head.indexOf(";")) });
}

function slide(position) {
  $("slider").value = position;
  $("slider").setAttribute("aria-valuetext", `${position} % before`);
  $("picture").style.setProperty("--position", `${position}%`);
}

$("slider").addEventListener("input", () => slide($("slider").value));
$("reuse").addEventListener("click", () => {
  $("seed").value = $("result-seed").textContent;
  document.querySelector("details").open = true;
  $("seed").focus();
});

watchHealth();
setInterval(() => {
  if (!model && !controller && !document.hidden) watchHealth();
}, HEALTH_INTERVAL_MS);
