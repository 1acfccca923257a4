// A picture to the server and its result back.

import { tell } from "./stage.js";
import { upscale } from "./upscale.js";

const LONGEST_WAIT_S = 300; // for a busy server

/** The result of a picture; a busy server is asked again when it says. draw: after every news. */
export async function sent(picture, token, draw) {
  const { signal } = picture.controller;
  const form = new FormData();
  form.append("image", picture.file);
  for (const [name, value] of picture.entries) form.append(name, value);
  for (;;) {
    const began = performance.now();
    const elapsed = () => (performance.now() - began) / 1000;
    try {
      const { images } = await upscale(form, token, signal, (name, data) => {
        tell(picture, name, data, elapsed());
        draw();
      });
      return await resultOf(images[0], picture, elapsed());
    } catch (error) {
      if (typeof error.retryAfter !== "number") throw error;
      await wait(picture, Math.min(error.retryAfter, LONGEST_WAIT_S), signal, draw);
    }
  }
}

async function wait(picture, seconds, signal, draw) {
  for (let left = Math.ceil(seconds); left > 0; left--) {
    picture.told = `The server is busy; it is asked again in ${left} s`;
    draw();
    await new Promise((done) => setTimeout(done, 1000));
    signal.throwIfAborted();
  }
}

async function resultOf({ url, seed, nsfw }, picture, seconds) {
  const blob = url.startsWith("data:") ? blobOf(url) : null;
  const kept = blob ? URL.createObjectURL(blob) : url;
  const image = new Image();
  image.src = kept;
  await image.decode();
  const typed = Object.fromEntries(picture.entries).seed; // has 64 bits, a number 53
  const { naturalWidth: width, naturalHeight: height } = image;
  return { url: kept, blob, width, height, seed: typed ?? seed, nsfw, seconds };
}

function blobOf(dataUrl) {
  const [head, content] = dataUrl.split(",");
  const bytes = Uint8Array.from(atob(content), (character) => character.charCodeAt(0));
  return new Blob([bytes], { type: head.slice("data:".length, head.indexOf(";")) });
}
