// Before and after, one above the other: a divider between them, and both zoomed and moved in step.

const $ = (id) => document.getElementById(id);
const LARGEST = 16; // times the result's own pixels
const GRAB = 24; // pixels beside the divider that still take it
const STEP = 40; // pixels that a key moves

const box = $("picture");
const view = { zoom: 1, x: 0, y: 0 }; // times the picture that fits; its corner in the box, pixels
const pointers = new Map();
let dragged = null; // "divider" or "picture"

/** Of the box, exactly: its clientWidth is rounded. */
function sides() {
  const { width, height } = box.getBoundingClientRect();
  return { width, height };
}

/** One pixel of the result for one of the screen, as a zoom. */
function actual() {
  const { naturalWidth } = $("after");
  return naturalWidth ? naturalWidth / devicePixelRatio / sides().width : 1;
}

function smallest() {
  return Math.min(1, actual());
}

function largest() {
  return Math.max(1, LARGEST * actual());
}

function show() {
  const { width, height } = sides();
  for (const [axis, side] of [["x", width], ["y", height]]) {
    const room = side - side * view.zoom;
    view[axis] = room > 0 ? room / 2 : Math.min(0, Math.max(room, view[axis]));
  }
  box.style.setProperty("--zoom", view.zoom);
  box.style.setProperty("--x", `${Math.round(view.x)}px`);
  box.style.setProperty("--y", `${Math.round(view.y)}px`);
  const percent = Math.round((100 * view.zoom) / actual());
  box.classList.toggle("moved", view.zoom > 1);
  box.classList.toggle("pixels", percent >= 200);
  $("percent").textContent = `${percent} %`;
  $("fit-view").setAttribute("aria-pressed", view.zoom === 1);
  $("actual").setAttribute("aria-pressed", percent === 100);
}

/** Zoom so that what is at x, y of the box stays there; without them, at its middle. */
function zoomTo(zoom, x = sides().width / 2, y = sides().height / 2) {
  zoom = Math.min(largest(), Math.max(smallest(), zoom));
  view.x = x - ((x - view.x) * zoom) / view.zoom;
  view.y = y - ((y - view.y) * zoom) / view.zoom;
  view.zoom = zoom;
  show();
}

function move(x, y) {
  view.x += x;
  view.y += y;
  show();
}

/** The whole picture, with the divider in its middle. */
export function fit() {
  Object.assign(view, { zoom: 1, x: 0, y: 0 });
  show();
}

export function slide(position) {
  $("slider").value = position;
  $("slider").setAttribute("aria-valuetext", `${Math.round(position)} % before`);
  box.style.setProperty("--position", `${position}%`);
}

function inBox({ clientX, clientY }) {
  const { left, top } = box.getBoundingClientRect();
  return [clientX - left, clientY - top];
}

box.addEventListener("wheel", (event) => {
  const factor = Math.exp(-event.deltaY * (event.ctrlKey ? 0.01 : 0.002)); // a pinch on a touchpad
  if (factor < 1 && view.zoom <= smallest()) return; // the page scrolls on
  event.preventDefault();
  zoomTo(view.zoom * factor, ...inBox(event));
}, { passive: false });

box.addEventListener("pointerdown", (event) => {
  if (event.button !== 0) return;
  event.preventDefault();
  box.setPointerCapture(event.pointerId);
  pointers.set(event.pointerId, inBox(event));
  const [x] = inBox(event);
  const divider = (sides().width * $("slider").value) / 100;
  const isCompared = box.classList.contains("compared");
  const takesDivider = isCompared && (view.zoom <= 1 || Math.abs(x - divider) < GRAB);
  dragged = takesDivider ? "divider" : "picture";
  if (isCompared) $("slider").focus({ preventScroll: true });
  if (takesDivider) slide((100 * x) / sides().width);
});

box.addEventListener("pointermove", (event) => {
  const before = pointers.get(event.pointerId);
  if (!before) return;
  const now = inBox(event);
  if (pointers.size === 2) {
    const [, other] = [...pointers].find(([id]) => id !== event.pointerId);
    const apart = ([x, y]) => Math.hypot(x - other[0], y - other[1]);
    const middle = [(now[0] + other[0]) / 2, (now[1] + other[1]) / 2];
    zoomTo((view.zoom * apart(now)) / Math.max(1, apart(before)), ...middle);
    move((now[0] - before[0]) / 2, (now[1] - before[1]) / 2);
  } else if (dragged === "divider") {
    slide(Math.min(100, Math.max(0, (100 * now[0]) / sides().width)));
  } else {
    move(now[0] - before[0], now[1] - before[1]);
  }
  pointers.set(event.pointerId, now);
});

for (const end of ["pointerup", "pointercancel"]) {
  box.addEventListener(end, (event) => pointers.delete(event.pointerId));
}

const KEYS = { "+": 1.5, "=": 1.5, "-": 1 / 1.5 };
const ARROWS = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

box.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key in KEYS) zoomTo(view.zoom * KEYS[event.key]);
  else if (event.key === "0") fit();
  else if (event.key === "1") zoomTo(actual());
  else if (event.shiftKey && event.key in ARROWS) move(...ARROWS[event.key].map((way) => way * STEP));
  else return;
  event.preventDefault();
});

$("slider").addEventListener("input", () => slide($("slider").value));
$("fit-view").addEventListener("click", fit);
$("actual").addEventListener("click", () => zoomTo(actual()));
$("closer").addEventListener("click", () => zoomTo(view.zoom * 1.5));
$("farther").addEventListener("click", () => zoomTo(view.zoom / 1.5));
new ResizeObserver(show).observe(box);
