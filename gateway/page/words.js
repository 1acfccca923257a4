// Numbers as a person reads them.

export function number(value) {
  return value.toLocaleString("en", { maximumFractionDigits: 1 });
}

export function megabytes(bytes) {
  return `${number(bytes / 1e6)} MB`;
}

export function size(width, height) {
  return `${width}\u00a0×\u00a0${height}`; // on one line
}

export function duration(seconds) {
  if (seconds < 1) return "less than a second";
  if (seconds < 100) return `${Math.round(seconds)} s`;
  return `${Math.round(seconds / 60)} minutes`;
}

export function left(seconds) {
  return seconds === null ? "" : `, ${duration(seconds)} left`;
}
