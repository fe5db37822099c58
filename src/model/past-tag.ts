import { parseTagName, type TagName } from './names.ts';
import { parseRfc3339 } from './rfc3339.ts';
import type { EpochMs } from './time.ts';

/** A tag as it was: its name, and the moment. */
export interface PastTag {
  readonly tagName: TagName;
  readonly atMs: EpochMs;
}

const PAST_TAG =
  /^(?<name>.+)\.at\.(?<date>\d{4}(?:\d{2}){2})(?:T(?<hour>\d{2})(?<minute>\d{2})(?<second>\d{2}))?Z$/;

/**
 * What the name of a tag says of another one's past: `latest.at.20261101T120000Z`, or without a
 * time for the first moment of that day. Null if it has not that form, or if there is no such day
 * or time: then it is a name like any other.
 */
export function parsePastTag(text: TagName): PastTag | null {
  const { name, date, hour, minute, second } = PAST_TAG.exec(text)?.groups ?? {};
  if (name === undefined || date === undefined) {
    return null;
  }
  const day = `${date.slice(0, 4)}-${date.slice(4, 6)}-${date.slice(6)}`;
  const tagName = parseTagName(name);
  const atMs = parseRfc3339(hour === undefined ? day : `${day}T${hour}:${minute}:${second}Z`);
  return tagName === null || atMs === null ? null : { tagName, atMs };
}
