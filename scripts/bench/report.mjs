/**
 * A table in Markdown; the first column is text, the others are figures.
 * @param {readonly string[]} head
 * @param {readonly (readonly (string | number)[])[]} lines
 */
export function table(head, lines) {
  const rule = head.map((_, at) => (at === 0 ? '---' : '---:'));
  return [head, rule, ...lines].map((line) => `| ${line.join(' | ')} |`).join('\n');
}

/**
 * @param {number} value
 * @param {number} [digits] after the point, at most
 * @returns {string} with commas between thousands
 */
export function figure(value, digits = 0) {
  return value.toLocaleString('en-US', { maximumFractionDigits: digits });
}

/** @param {number} milliseconds */
export const ms = (milliseconds) => figure(milliseconds, milliseconds < 10 ? 1 : 0);

/** @param {number} dollarsPerMillion */
export const dollars = (dollarsPerMillion) => `$${dollarsPerMillion.toFixed(3)}`;

/** @param {readonly number[]} values */
export function median(values) {
  const sorted = values.toSorted((one, other) => one - other);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}
