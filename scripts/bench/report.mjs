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

/**
 * @param {readonly number[]} values
 * @param {number} part of them that are not above it, 0 to 1
 */
export function percentile(values, part) {
  const sorted = values.toSorted((one, other) => one - other);
  const at = Math.max(0, Math.ceil(part * sorted.length) - 1);
  return sorted[at] ?? Number.NaN;
}

/** @param {readonly number[]} values */
export const median = (values) => percentile(values, 0.5);
