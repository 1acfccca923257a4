// The part of an image that is kept where all of it is too large, cut out before it is sent.

import { size } from "./words.js";

const $ = (id) => document.getElementById(id);
const image = $("crop-image");
const SLIDERS = [$("crop-left"), $("crop-top")];

/**
 * Ask which part of a picture is sent: of its shape, with at most so many pixels, as they are.
 * Returns a PNG file, as the browser shows it, so in sRGB; null where the person goes back.
 */
export async function cropped({ file, url, width, height }, pixels) {
  const share = Math.min(1, Math.sqrt(pixels / (width * height)));
  const sides = [width, height].map((side) => Math.max(1, Math.floor(side * share)));
  image.src = url;
  $("crop-size").textContent = `${size(...sides)} of ${size(width, height)}`;
  SLIDERS.forEach((slider, axis) => {
    slider.max = [width, height][axis] - sides[axis];
    slider.value = slider.max / 2;
  });
  $("crop-frame").style.width = $("crop-frame").style.height = `${100 * share}%`;
  place();
  $("crop").returnValue = ""; // of the last time
  $("crop").showModal();
  await new Promise((done) => $("crop").addEventListener("close", done, { once: true }));
  if (!$("crop").returnValue) return null;
  const canvas = new OffscreenCanvas(...sides);
  canvas.getContext("2d").drawImage(image, ...SLIDERS.map((slider) => -slider.value));
  const name = `${file.name.replace(/\.[^.]*$/, "")}-cropped.png`;
  return new File([await canvas.convertToBlob()], name, { type: "image/png" });
}

function place() {
  const [left, top] = SLIDERS.map((slider) => Number(slider.value));
  $("crop-frame").style.left = `${(100 * left) / image.naturalWidth}%`;
  $("crop-frame").style.top = `${(100 * top) / image.naturalHeight}%`;
}

/** Its middle goes where it is pointed at, as far as it may. */
function point(event) {
  if (event.buttons !== 1) return;
  const area = $("crop-area").getBoundingClientRect();
  const frame = $("crop-frame").getBoundingClientRect();
  const pixels = image.naturalWidth / area.width; // of the image in one of the screen's
  SLIDERS[0].value = (event.clientX - area.left - frame.width / 2) * pixels;
  SLIDERS[1].value = (event.clientY - area.top - frame.height / 2) * pixels;
  place();
}

for (const slider of SLIDERS) slider.addEventListener("input", place);
$("crop-area").addEventListener("pointermove", point);
$("crop-area").addEventListener("pointerdown", (event) => {
  event.preventDefault(); // the browser would drag the image
  $("crop-area").setPointerCapture(event.pointerId);
  point(event);
});
