// What a server takes, told before the upload. It says so too, after it.

import { megabytes, number, size } from "./words.js";

const $ = (id) => document.getElementById(id);

/** Pixels. model: of GET /model. */
export function mostPixels(model) {
  return $("fit").checked ? model.max_fit_pixels : model.max_input_pixels;
}

/** Whether a picture has more pixels than that. */
export function isTooLarge({ width, height }, model) {
  return width * height > mostPixels(model);
}

/** Whether a server that reduces what is too large would take it. */
export function canBeReduced({ width, height }, model) {
  return !$("fit").checked && width * height <= model.max_fit_pixels;
}

/** Why a picture would be refused, as a sentence, as far as the page knows. */
export function refusal(picture, model) {
  const { file, width, height } = picture;
  if (file.size > model.max_body_bytes) {
    return `The file has ${megabytes(file.size)}; this server takes at most ${megabytes(model.max_body_bytes)}. Save it smaller or as JPEG.`;
  }
  if (!isTooLarge(picture, model)) return "";
  const tooMany = `The image is ${size(width, height)}, which is ${number(width * height)} pixels; this server takes at most ${number(mostPixels(model))}.`;
  return `${tooMany} ${canBeReduced(picture, model) ? "Let it be reduced, or crop it." : "Crop it, or reduce it in another program."}`;
}
