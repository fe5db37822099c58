/** Prints lines in columns, the first as their head: what a test is run for by hand. */
export function printTable(lines: readonly (readonly string[])[]): void {
  const [head = []] = lines;
  const widths = head.map((_, at) => Math.max(...lines.map((line) => line[at]?.length ?? 0)));
  const padded = lines.map((line) =>
    line.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join('  '),
  );
  // oxlint-disable-next-line no-console
  console.log(padded.join('\n'));
}
