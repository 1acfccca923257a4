// The form's fields: what they hold, what is wrong with them in their own words, what is remembered.

const $ = (id) => document.getElementById(id);
const OPTIONAL = ["negative_prompt", "num_inference_steps", "scheduler", "step_cache", "guidance_scale", "noise_level", "seed", "scale", "background"];
const NAMES = ["prompt", ...OPTIONAL, "output_format", "safety_check", "fit"];
// Not the seed, else every picture had the same one; not what only this server may have.
const REMEMBERED = NAMES.filter((name) => !["seed", "scheduler", "step_cache"].includes(name));
const SETTINGS = "upscale-settings";
const SEEDS = [-(2n ** 63n), 2n ** 63n - 1n];

/** [name, value] of what is sent beside the image. */
export function entries() {
  const given = [
    ["prompt", $("prompt").value.trim() || $("prompt").placeholder],
    ["safety_check", String($("safety_check").checked)],
    ["output_format", $("output_format").value],
  ];
  for (const name of OPTIONAL) {
    const value = $(name).value.trim();
    if (value) given.push([name, value]);
  }
  if ($("fit").checked) given.push(["fit", "true"]);
  return given;
}

/** What POST /estimate asks of the same. */
export function estimated() {
  const fields = { output_format: $("output_format").value, fit: $("fit").checked };
  for (const name of ["num_inference_steps", "guidance_scale", "step_cache"]) {
    if ($(name).value) fields[name] = Number($(name).value);
  }
  if ($("scheduler").value) fields.scheduler = $("scheduler").value;
  return fields;
}

/** The result's sides by those of the image. */
export function scale() {
  return Number($("scale").value) || 4;
}

/** Whether all fields are right; those that are not say so. */
export function check() {
  const wrong = NAMES.filter((name) => tell(name, complaint(name)));
  if (wrong.length) show(wrong[0]);
  return wrong.length === 0;
}

export function isRight() {
  return NAMES.every((name) => !complaint(name));
}

/** A server's words about a field, beside it. Returns whether there is such a field. */
export function blame(name, message) {
  if (!NAMES.includes(name)) return false;
  tell(name, message.replace(new RegExp(`^${name}:? `), `${label(name)} `));
  show(name);
  return true;
}

function complaint(name) {
  const { validity, min, max, step, value, type } = $(name);
  if (name === "seed" && value.trim()) {
    const isWhole = /^[+-]?\d+$/.test(value.trim());
    const seed = isWhole ? BigInt(value.trim().replace("+", "")) : 0n;
    const fits = isWhole && seed >= SEEDS[0] && seed <= SEEDS[1];
    return fits ? "" : "Seed must be a whole number of at most 64 bits.";
  }
  if (type !== "number" || validity.valid) return "";
  const kind = step === "any" ? "a number" : "a whole number";
  return `${label(name)} must be ${kind} from ${min} ${max ? `to ${max}` : "on"}.`;
}

function label(name) {
  return document.querySelector(`label[for="${name}"]`).textContent.trim();
}

function tell(name, message) {
  const note = $(`${name}-error`) ?? noteOf(name);
  note.textContent = message;
  note.hidden = !message;
  $(name).toggleAttribute("aria-invalid", Boolean(message));
  if (message) $(name).setAttribute("aria-invalid", "true");
  return message;
}

function noteOf(name) {
  const note = Object.assign(document.createElement("p"), { id: `${name}-error`, className: "error" });
  const described = $(name).getAttribute("aria-describedby");
  $(name).setAttribute("aria-describedby", described ? `${described} ${note.id}` : note.id);
  $(name).after(note);
  return note;
}

function show(name) {
  const details = $(name).closest("details");
  if (details) details.open = true;
  $(name).focus();
}

function remember() {
  const kept = REMEMBERED.map((name) => [name, $(name).type === "checkbox" ? $(name).checked : $(name).value]);
  localStorage.setItem(SETTINGS, JSON.stringify(Object.fromEntries(kept)));
}

function recall() {
  let kept = {};
  try {
    kept = JSON.parse(localStorage.getItem(SETTINGS)) ?? {};
  } catch {
    // an older page's, perhaps
  }
  for (const name of REMEMBERED) {
    if (!(name in kept)) continue;
    if ($(name).type === "checkbox") $(name).checked = kept[name];
    else $(name).value = kept[name];
  }
}

recall();
$("form").addEventListener("change", remember);
$("form").addEventListener("input", ({ target }) => NAMES.includes(target.id) && tell(target.id, ""));
