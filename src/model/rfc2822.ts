/** The time as RFC 2822 writes it (3.3), in UTC and to the second: `Fri, 16 Jan 2026 16:09:14 -0000`. */
export function formatRfc2822(timeMs: number): string {
  return new Date(timeMs).toUTCString().replace('GMT', '-0000');
}
