// What is shown of one picture: its course, or its result before and after.

import { codeOf } from "./code.js";
import { fit, slide } from "./viewer.js";
import { left, size } from "./words.js";

const $ = (id) => document.getElementById(id);
let drawn = null; // the picture, and what of it is in the viewer
let language = "curl";

/** Draw a picture's state; nothing where it has no course yet. */
export async function drawStage(picture, asksForToken) {
  const { state, result, preview } = picture ?? {};
  $("stage").hidden = !picture || !["running", "done"].includes(state);
  if ($("stage").hidden) return void (drawn = null);
  $("course").hidden = state === "done";
  $("result").hidden = $("zoom").hidden = state !== "done";
  if (state === "running") drawCourse(picture);
  const source = result?.url ?? preview;
  if (drawn?.picture === picture && drawn.source === source) return;
  const isNew = drawn?.picture !== picture;
  drawn = { picture, source };
  if (isNew) {
    $("before").src = picture.url;
    if (picture.width) $("picture").style.setProperty("--ratio", picture.width / picture.height);
    fit();
  }
  $("picture").classList.remove("compared");
  for (const id of ["handle", "slider"]) $(id).hidden = true;
  $("after").hidden = !source;
  if (source) $("after").src = source;
  if (state === "done") await drawResult(picture, asksForToken);
}

function drawCourse({ told, share }) {
  $("state").textContent = told;
  if (share === null) return $("progress").removeAttribute("value");
  $("progress").value = share;
}

async function drawResult(picture, asksForToken) {
  const { result, entries } = picture;
  $("after").alt = `The result, ${size(result.width, result.height)}`;
  await Promise.allSettled([$("before").decode(), $("after").decode()]);
  $("picture").style.setProperty("--ratio", result.width / result.height);
  const comparable = $("before").naturalWidth > 0;
  $("picture").classList.toggle("compared", comparable);
  for (const id of ["handle", "slider"]) $(id).hidden = !comparable;
  slide(50);
  fit();
  const sent = Object.fromEntries(entries);
  $("nsfw").textContent = verdict(sent.safety_check === "true", result.nsfw);
  $("nsfw").className = result.nsfw ? "error" : "quiet";
  $("size").textContent = size(result.width, result.height);
  $("time").textContent = `${result.seconds.toFixed(1)} s`;
  $("result-seed").textContent = result.seed;
  $("download").href = result.url;
  $("download").download = picture.resultName;
  $("download").target = new URL(result.url).origin === location.origin ? "" : "_blank"; // it opens there
  drawCode(picture, asksForToken);
}

function verdict(checked, nsfw) {
  if (!checked) return "The picture was not checked.";
  return nsfw ? "The safety checker flagged this picture." : "The safety checker flagged nothing.";
}

function drawCode(picture, asksForToken) {
  const fields = picture.entries.filter(([name]) => name !== "seed");
  fields.push(["seed", String(picture.result.seed)]);
  const url = new URL("upscale", document.baseURI).href;
  const code = codeOf(url, picture.file.name, picture.resultName, fields, asksForToken);
  $("code").textContent = code[language];
  for (const name of Object.keys(code)) {
    $(`code-${name}`).setAttribute("aria-pressed", name === language);
    $(`code-${name}`).onclick = () => {
      language = name;
      drawCode(picture, asksForToken);
    };
  }
}

/** An event of a request as its row and its course tell it; seconds: since it was sent. */
export function tell(picture, name, data, seconds) {
  if (name === "accepted") {
    picture.told = `Accepted${left(data.seconds)}`;
  } else if (name === "queued") {
    picture.told = `Waiting; number ${data.position} in the queue`;
  } else if (name === "progress") {
    picture.told = `Step ${data.step} of ${data.steps}${left(data.seconds_left)}`;
  } else if (name === "decoding") {
    const tiles = data.tiles > 1 ? `: ${data.tile} of ${data.tiles} tiles` : "";
    picture.told = `Decoding the picture${tiles}${left(data.seconds_left)}`;
  } else if (name === "preview") {
    picture.preview = data.url;
  }
  const rest = data.seconds_left;
  // The bar is of time, so that it goes on to the end; and never back.
  if (rest !== undefined && rest !== null) {
    picture.share = Math.max(picture.share ?? 0, seconds / (seconds + rest));
  }
}

$("copy").addEventListener("click", async () => {
  await navigator.clipboard.writeText($("code").textContent);
  $("copy").textContent = "Copied";
  setTimeout(() => ($("copy").textContent = "Copy"), 2000);
});
