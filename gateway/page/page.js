// The page: a form, the course of one request, and its result.

import { UpscaleError, upscale } from "./upscale.js";

const OPTIONS = ["negative_prompt", "num_inference_steps", "guidance_scale", "noise_level", "seed"];
const HEALTH_INTERVAL_MS = 2000;
const TOKEN = "upscale-token";
const SCALE = 4;

const $ = (id) => document.getElementById(id);
let file = null;
let controller = null; // of the request that runs
let ready = false;

// --- the model ---

async function watchHealth() {
  if (document.hidden) return;
  const response = await fetch("health").catch(() => null);
  const wasReady = ready;
  ready = response?.ok ?? false;
  if (ready && !wasReady) await showModel();
  if (!ready) $("model").textContent = response ? "The model is loading." : "The server cannot be reached.";
  showButtons();
}

async function showModel() {
  const response = await fetch("model");
  if (!response.ok) return;
  const model = await response.json();
  $("model").textContent = model.model_id;
  $("prompt-note").hidden = model.prompt_has_effect;
  $("noise_level").max = model.max_noise_level;
  for (const name of ["num_inference_steps", "guidance_scale", "noise_level"]) {
    $(name).placeholder = model[name];
  }
  if (!model.has_safety_checker) {
    $("safety_check").checked = false;
    $("safety_check").disabled = true;
  }
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
  $("stage").hidden = true;
  showError("");
  showButtons();
}

$("thumbnail").addEventListener("load", () => {
  const { naturalWidth: width, naturalHeight: height } = $("thumbnail");
  $("picture").style.aspectRatio = `${width} / ${height}`;
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
  return `${width} × ${height}`;
}

// --- a request ---

$("form").addEventListener("submit", (event) => {
  event.preventDefault();
  if (file && ready && !controller) run();
});
$("cancel").addEventListener("click", () => controller?.abort());
addEventListener("pagehide", () => controller?.abort());

async function run() {
  controller = new AbortController();
  const began = performance.now();
  showError("");
  showStart();
  try {
    const result = await upscale(formData(), token(), controller.signal, showEvent);
    await showResult(result.images[0], (performance.now() - began) / 1000);
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
}

// --- what is shown ---

function showButtons() {
  $("submit").disabled = !file || !ready || controller !== null;
  $("cancel").hidden = controller === null;
  $("image").disabled = controller !== null;
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

async function showResult(image, seconds) {
  URL.revokeObjectURL($("download").href);
  const url = image.url.startsWith("data:") ? URL.createObjectURL(blobOf(image.url)) : image.url;
  $("after").src = url;
  await $("after").decode();
  const { naturalWidth: width, naturalHeight: height } = $("after");
  $("picture").style.aspectRatio = `${width} / ${height}`;
  $("after").alt = `The result, ${size(width, height)}`;
  $("after").hidden = false;
  const comparable = $("before").naturalWidth > 0;
  $("picture").classList.toggle("compared", comparable);
  for (const id of ["handle", "slider"]) $(id).hidden = !comparable;
  slide(50);
  $("nsfw").hidden = !image.nsfw;
  $("size").textContent = size(width, height);
  $("time").textContent = `${seconds.toFixed(1)} s`;
  $("result-seed").textContent = image.seed;
  $("download").href = url;
  $("download").download = `${file.name.replace(/\.[^.]*$/, "")}-upscaled.${$("output_format").value}`;
  $("course").hidden = true;
  $("result").hidden = false;
  announce(`Done: ${size(width, height)}.`);
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
  if (!ready && !controller) watchHealth();
}, HEALTH_INTERVAL_MS);
