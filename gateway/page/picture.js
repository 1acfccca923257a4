// One file on its way: from the choice to its result.

import { size } from "./words.js";

const SUFFIXES = { png: "png", jpeg: "jpg", webp: "webp" };
const BEGINNINGS = [/^\xff\xd8\xff/, /^\x89PNG/, /^GIF8/, /^BM/, /^II\*\0/, /^MM\0\*/, /^RIFF....WEBP/s, /^....ftyp/s];
const NO_IMAGE = "It is no image that can be read: choose a JPEG, PNG, WebP, AVIF, HEIC, GIF, BMP or TIFF file.";

/** states: checked, ready, waiting, running, done, failed. */
export class Picture {
  constructor(file) {
    this.file = file;
    this.url = URL.createObjectURL(file);
    this.state = "checked";
    this.error = ""; // a sentence
    this.told = "Looking at it"; // what its row says
    this.width = this.height = 0; // 0: the browser cannot read it
    this.entries = []; // of the form it was sent with
    this.preview = "";
    this.result = null; // {url, blob, width, height, seed, nsfw, seconds}
    this.controller = null; // of the request that runs
  }

  /** Whether it is an image at all, and how large. */
  async look() {
    const bytes = new Uint8Array(await this.file.slice(0, 16).arrayBuffer());
    const beginning = String.fromCharCode(...bytes);
    if (!BEGINNINGS.some((pattern) => pattern.test(beginning))) return this.fail(NO_IMAGE);
    const image = new Image();
    image.src = this.url;
    try {
      await image.decode();
      [this.width, this.height] = [image.naturalWidth, image.naturalHeight];
    } catch {
      // the server may know a format that the browser does not
    }
    this.state = "ready";
    this.told = this.width ? `${size(this.width, this.height)}, ready` : "Ready";
  }

  fail(message) {
    this.state = "failed";
    this.error = this.told = message;
  }

  get format() {
    return Object.fromEntries(this.entries).output_format ?? "png";
  }

  get resultName() {
    return `${this.file.name.replace(/\.[^.]*$/, "")}-upscaled.${SUFFIXES[this.format]}`;
  }

  close() {
    this.controller?.abort();
    URL.revokeObjectURL(this.url);
    if (this.result) URL.revokeObjectURL(this.result.url);
  }
}
