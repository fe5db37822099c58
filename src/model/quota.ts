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
