/** How many bytes a namespace may hold. The limits are percentages of `limitBytes`, 1 to 100. */
export interface QuotaLimits {
  readonly limitBytes: number;
  /** Who pushes is warned above this; null: nobody is. */
  readonly warningPercent: number | null;
  /** Pushes that would end above this are refused; null: none is. */
  readonly rejectPercent: number | null;
}

/** A quota, and how much of it is used. */
export interface Quota extends QuotaLimits {
  /** The bytes of the distinct blobs that manifests of the namespace link. */
  readonly usedBytes: number;
}

/** So many percent of a number of bytes, rounded down: what may be held without going above. */
export function percentOf(limitBytes: number, percent: number): number {
  // In two parts, for the product of the whole may not be told exactly.
  const rest = limitBytes % 100;
  return ((limitBytes - rest) / 100) * percent + Math.floor((rest * percent) / 100);
}

/** How much of its quota a namespace uses, in percent, rounded down; above 100 if the limit fell. */
export function usedPercent({ usedBytes, limitBytes }: Quota): number {
  return Math.floor((usedBytes / limitBytes) * 100);
}

const UNIT_BYTES: ReadonlyMap<string, number> = new Map([
  ['B', 1],
  ['KB', 1000],
  ['MB', 1000 ** 2],
  ['GB', 1000 ** 3],
  ['TB', 1000 ** 4],
  ['KiB', 1024],
  ['MiB', 1024 ** 2],
  ['GiB', 1024 ** 3],
  ['TiB', 1024 ** 4],
]);

/** A size such as `10 GiB` or `1.5 TB` in bytes, rounded down; null: it is none, or is none above 0. */
export function parseByteCount(text: string): number | null {
  const [, count, unit = 'B'] =
    /^([0-9]{1,15}(?:\.[0-9]{1,3})?) ?([A-Za-z]{1,3})?$/.exec(text) ?? [];
  const unitBytes = UNIT_BYTES.get(unit);
  const bytes = Math.floor(Number(count) * (unitBytes ?? Number.NaN));
  return Number.isSafeInteger(bytes) && bytes > 0 ? bytes : null;
}

/** The bytes in the largest binary unit that they fill, with two digits behind the point at most. */
export function formatByteCount(bytes: number): string {
  const unit = ['TiB', 'GiB', 'MiB', 'KiB'].find((each) => bytes >= (UNIT_BYTES.get(each) ?? 0));
  const count = bytes / (UNIT_BYTES.get(unit ?? 'B') ?? 1);
  return `${Math.round(count * 100) / 100} ${unit ?? 'B'}`;
}
