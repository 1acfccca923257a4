// The pictures of this session as a list: what each is doing, and what can be done with it.

import { zip } from "./zip.js";

const $ = (id) => document.getElementById(id);
const rows = new Map();

/** Show every picture's state. actions: {show, retry, close} of a picture. */
export function drawRows(pictures, shown, actions) {
  for (const [picture, row] of rows) {
    if (pictures.includes(picture)) continue;
    row.remove();
    rows.delete(picture);
  }
  pictures.forEach((picture, index) => {
    if (!rows.has(picture)) {
      rows.set(picture, newRow(picture, actions));
      $("pictures").insertBefore(rows.get(picture), $("pictures").children[index] ?? null);
    }
    drawRow(picture, picture === shown);
  });
  const several = pictures.length > 1;
  $("queue").hidden = !several && !pictures.some((picture) => ["done", "failed"].includes(picture.state));
  $("pause").hidden = !several || !pictures.some((picture) => picture.state === "waiting");
  const fetched = pictures.filter(isFetched);
  $("download-all").hidden = fetched.length < 2;
  $("download-all").textContent = `Download all ${fetched.length}`;
}

function newRow(picture, actions) {
  const row = document.createElement("li");
  const image = Object.assign(new Image(), { alt: "" });
  image.addEventListener("error", () => image.classList.add("unseen"));
  image.src = picture.url;
  const name = Object.assign(document.createElement("strong"), { textContent: picture.file.name });
  const show = button("", () => actions.show(picture));
  show.append(image, name, document.createElement("span"));
  const retry = button("Retry", () => actions.retry(picture));
  retry.setAttribute("aria-label", `Retry ${picture.file.name}`);
  const close = button("×", () => actions.close(picture));
  close.setAttribute("aria-label", `Close ${picture.file.name}`);
  row.append(show, retry, close);
  return row;
}

function button(text, onClick) {
  const made = Object.assign(document.createElement("button"), { type: "button", textContent: text });
  made.addEventListener("click", onClick);
  return made;
}

function drawRow(picture, isShown) {
  const [show, retry] = rows.get(picture).children;
  const state = show.lastElementChild;
  if (state.textContent !== picture.told) state.textContent = picture.told;
  state.className = picture.state === "failed" ? "error" : "quiet";
  show.setAttribute("aria-current", isShown);
  retry.hidden = picture.state !== "failed" || picture.entries.length === 0;
}

/** Whether its file can be had without asking another host. */
function isFetched({ result }) {
  return result !== null && new URL(result.url).origin === location.origin;
}

export async function downloadAll(pictures) {
  const files = await Promise.all(
    pictures.filter(isFetched).map(async (picture) => {
      const { url, blob } = picture.result;
      return [picture.resultName, blob ?? (await (await fetch(url)).blob())];
    }),
  );
  const url = URL.createObjectURL(await zip(files));
  Object.assign(document.createElement("a"), { href: url, download: "upscaled.zip" }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
