// Numbers for readers.

const whole = new Intl.NumberFormat("en");

export function bytes(count) {
  if (count < 1000) return `${count} bytes`;
  const [value, unit] = count < 1e6 ? [count / 1e3, "kB"] : [count / 1e6, "MB"];
  return `${value.toFixed(value < 100 ? 1 : 0)} ${unit}`;
}

export function exactBytes(count) {
  return `${whole.format(count)} bytes`;
}

export function time(milliseconds) {
  if (milliseconds >= 1000) return `${(milliseconds / 1000).toFixed(1)} s`;
  return `${milliseconds.toFixed(milliseconds < 10 ? 1 : 0)} ms`;
}

export function percent(share) {
  const hundredths = 100 * share;
  return `${hundredths.toFixed(hundredths < 10 || hundredths > 99 ? 1 : 0)}%`;
}

export function pixels({ width, height }) {
  return `${whole.format(width)} × ${whole.format(height)} px`;
}

export function comparedWith(sent, size) {
  if (sent <= size) return `${percent(sent / size)} of the picture’s ${bytes(size)}`;
  return `${(sent / size).toFixed(1)} times the picture’s ${bytes(size)}`;
}
