import { describe, it } from 'vitest';

import type { ParsedManifest } from '../../src/image/parsed-manifest.ts';
import { DAY_MS, HOUR_MS, SECOND_MS, START_MS } from '../support/clock.ts';
import { findViolations } from '../support/invariants.ts';
import { execute, openStage, type Stage } from '../support/stage.ts';
import { digestAt, pastOf } from '../support/time-travel.ts';

const WEEK_MS = 7 * DAY_MS;
const WINDOW_MS = 14 * DAY_MS;

/** Images pushed to `latest`, one an hour, from the start of the clock on. */
async function hourlyImages(stage: Stage, count: number): Promise<readonly ParsedManifest[]> {
  const images: ParsedManifest[] = [];
  for (let hour = 0; hour < count; hour += 1) {
    stage.clock.set(START_MS + hour * HOUR_MS);
    const image = await stage.image();
    await stage.push('latest', image);
    images.push(image);
  }
  return images;
}

describe('what a tag pointed to at a time', () => {
  it('is the generation of that time, at the moment of a move the new one', async ({ expect }) => {
    const stage = await openStage();
    const [first, second, third] = await hourlyImages(stage, 3);
    stage.clock.advance(HOUR_MS);
    const at = digestAt(stage, stage.repository);
    const answers: Record<number, string | undefined | null> = {
      [START_MS - 1]: null,
      [START_MS]: first?.digest,
      [START_MS + HOUR_MS - 1]: first?.digest,
      [START_MS + HOUR_MS]: second?.digest,
      [START_MS + 2 * HOUR_MS - 1]: second?.digest,
      [START_MS + 2 * HOUR_MS]: third?.digest,
      [stage.clock.nowMs()]: third?.digest,
    };
    for (const [time, digest] of Object.entries(answers)) {
      expect([time, await at('latest', Number(time))]).toEqual([time, digest]);
    }
    expect(await at('other', START_MS)).toBeNull();
  });

  it('comes with its bytes, its lifetime and the window', async ({ expect }) => {
    const stage = await openStage();
    for (const padding of [0, 1_000_001]) {
      const image = await stage.image({ padding });
      await stage.push('v1', image);
      const startMs = stage.clock.nowMs();
      stage.clock.advance(SECOND_MS);
      await stage.push('v1', await stage.image());
      const answer = await pastOf(stage, stage.repository)('v1', startMs);
      expect(answer).toMatchObject({
        repository: stage.repository,
        found: {
          isPast: true,
          endsSoonMs: null,
          tag: { name: 'v1', lifetimeStartMs: startMs, lifetimeEndMs: startMs + SECOND_MS },
          manifest: { info: { digest: image.digest }, bytes: image.bytes },
        },
        windowSec: WINDOW_MS / SECOND_MS,
        windowStartMs: stage.clock.nowMs() - WINDOW_MS,
      });
      stage.clock.advance(SECOND_MS);
    }
  });

  it('is nothing in the gap between a deletion and the next push', async ({ expect }) => {
    const stage = await openStage();
    const [first] = await hourlyImages(stage, 1);
    stage.clock.set(START_MS + HOUR_MS);
    await stage.registry.deleteTag(stage.repository, 'latest');
    stage.clock.set(START_MS + 2 * HOUR_MS);
    const second = await stage.image();
    await stage.push('latest', second);
    const at = digestAt(stage, stage.repository);
    expect(await at('latest', START_MS + HOUR_MS - 1)).toBe(first?.digest);
    expect(await at('latest', START_MS + HOUR_MS)).toBeNull();
    expect(await at('latest', START_MS + 2 * HOUR_MS - 1)).toBeNull();
    expect(await at('latest', START_MS + 2 * HOUR_MS)).toBe(second.digest);
  });

  it('is nothing from the millisecond on that the tag ended by itself', async ({ expect }) => {
    const stage = await openStage();
    const image = await stage.image({ labels: { 'quay.expires-after': '1h' } });
    await stage.push('v1', image);
    const at = digestAt(stage, stage.repository);
    expect(await at('v1', START_MS)).toBe(image.digest);
    stage.clock.advance(DAY_MS);
    expect(await at('v1', START_MS + HOUR_MS - 1)).toBe(image.digest);
    expect(await at('v1', START_MS + HOUR_MS)).toBeNull();
    // The sweep changes no answer.
    await execute('UPDATE tag SET is_current = 0 WHERE lifetime_end_ms <= ?', stage.clock.nowMs());
    expect(await at('v1', START_MS + HOUR_MS - 1)).toBe(image.digest);
  });

  it('I4: passes over generations of no length', async ({ expect }) => {
    const stage = await openStage();
    const images = [await stage.image(), await stage.image(), await stage.image()];
    for (const image of images) {
      await stage.push('v1', image);
    }
    const at = digestAt(stage, stage.repository);
    expect(await at('v1', START_MS)).toBe(images[2]?.digest);
    await stage.registry.deleteTag(stage.repository, 'v1');
    expect(await at('v1', START_MS)).toBeNull();
    stage.clock.advance(1);
    await stage.push('v1', images[0] ?? (await stage.image()));
    expect(await at('v1', START_MS)).toBeNull();
    expect(await at('v1', START_MS + 1)).toBe(images[0]?.digest);
  });

  it('I2: is one thing where a clock that was ahead pushed before', async ({ expect }) => {
    const stage = await openStage();
    const [ahead, behind] = [await stage.image(), await stage.image()];
    stage.clock.set(START_MS + HOUR_MS);
    await stage.push('v1', ahead);
    stage.clock.set(START_MS);
    await stage.push('v1', behind);
    stage.clock.set(START_MS + DAY_MS);
    const at = digestAt(stage, stage.repository);
    expect(await at('v1', START_MS + HOUR_MS - 1)).toBeNull();
    expect(await at('v1', START_MS + HOUR_MS)).toBe(behind.digest);
    expect(await findViolations()).toEqual([]);
  });

  it('I17: is never a temporary tag', async ({ expect }) => {
    const stage = await openStage();
    await stage.registry.createManifestWithTempTag(stage.repository, await stage.image(), 60);
    await execute(`UPDATE tag SET name = 'hidden' WHERE hidden = 1`);
    expect(await digestAt(stage, stage.repository)('hidden', START_MS)).toBeNull();
  });

  it('is asked of the past only', async ({ expect }) => {
    const stage = await openStage();
    await hourlyImages(stage, 1);
    const past = pastOf(stage, stage.repository);
    await expect(past('latest', START_MS + 1)).rejects.toMatchObject({
      code: 'TimeInFuture',
      detail: { atMs: START_MS + 1, nowMs: START_MS },
    });
    await expect(past('other', START_MS + 1, 'literal')).rejects.toMatchObject({
      code: 'TimeInFuture',
    });
  });
});

describe('the past of a repository', () => {
  it('that is marked for deletion, or never was, is null', async ({ expect }) => {
    const stage = await openStage();
    await hourlyImages(stage, 2);
    const past = pastOf(stage, stage.repository);
    await execute('UPDATE repository SET state = 3 WHERE id = ?', stage.repository.id);
    expect(await past('latest', START_MS)).toBeNull();
    expect(await past('latest', START_MS + DAY_MS)).toBeNull();
    const other = await openStage();
    await execute('DELETE FROM uploaded_blob');
    await execute('DELETE FROM repository_gc WHERE repository_id = ?', other.repository.id);
    await execute('DELETE FROM repository WHERE id = ?', other.repository.id);
    expect(await pastOf(other, other.repository)('latest', START_MS)).toBeNull();
  });

  it('is its own', async ({ expect }) => {
    const [one, other] = [await openStage(), await openStage()];
    await hourlyImages(one, 1);
    expect(await digestAt(other, other.repository)('latest', START_MS)).toBeNull();
  });
});

describe('the window', () => {
  it('lets go what ended before it, however long the row stays', async ({ expect }) => {
    const stage = await openStage();
    const [first, second] = await hourlyImages(stage, 2);
    const endMs = START_MS + HOUR_MS;
    const at = digestAt(stage, stage.repository);
    stage.clock.set(endMs + WINDOW_MS - 1);
    expect(await at('latest', START_MS)).toBe(first?.digest);
    stage.clock.set(endMs + WINDOW_MS);
    expect(await at('latest', START_MS)).toBeNull();
    // What has not ended is as old as it is.
    expect(await at('latest', endMs)).toBe(second?.digest);
    await execute('UPDATE namespace SET removed_tag_expiration_s = ?', 4 * (WEEK_MS / SECOND_MS));
    expect(await at('latest', START_MS)).toBe(first?.digest);
    await execute('UPDATE namespace SET removed_tag_expiration_s = 0');
    expect(await at('latest', START_MS)).toBeNull();
    expect(await at('latest', endMs)).toBe(second?.digest);
  });

  it('lets go what was put beyond recovery, alive or ended', async ({ expect }) => {
    const stage = await openStage();
    const images = await hourlyImages(stage, 3);
    const nowMs = START_MS + 20 * DAY_MS;
    stage.clock.set(nowMs - DAY_MS);
    await stage.push('latest', await stage.image());
    stage.clock.set(nowMs);
    const at = digestAt(stage, stage.repository);
    const third = START_MS + 2 * HOUR_MS;
    const fourth = nowMs - DAY_MS;
    expect(await at('latest', third)).toBe(images[2]?.digest);
    // Its end lies after its start: it is shorter, and no time of it answers.
    await execute(
      'UPDATE tag SET lifetime_end_ms = ? WHERE lifetime_start_ms = ?',
      nowMs - WINDOW_MS,
      third,
    );
    // Its end lies before its start.
    await execute(
      'UPDATE tag SET lifetime_end_ms = ?, is_current = 0 WHERE lifetime_start_ms = ?',
      nowMs - WINDOW_MS,
      fourth,
    );
    for (const time of [third, nowMs - WINDOW_MS, fourth - 1, fourth, nowMs]) {
      expect([time, await at('latest', time)]).toEqual([time, null]);
    }
    const next = await stage.image();
    await stage.push('latest', next);
    expect(await at('latest', nowMs - 1)).toBeNull();
    expect(await at('latest', nowMs)).toBe(next.digest);
  });

  it('counts an end that was moved into the past from where it is', async ({ expect }) => {
    const stage = await openStage();
    const [only] = await hourlyImages(stage, 1);
    stage.clock.set(START_MS + 10 * HOUR_MS);
    await execute('UPDATE tag SET lifetime_end_ms = ?', START_MS + HOUR_MS);
    const at = digestAt(stage, stage.repository);
    expect(await at('latest', START_MS + HOUR_MS - 1)).toBe(only?.digest);
    expect(await at('latest', START_MS + HOUR_MS)).toBeNull();
  });
});

describe('a name that says a time', () => {
  it('is first of all a tag of that name, while that is alive', async ({ expect }) => {
    const stage = await openStage();
    const [first] = await hourlyImages(stage, 1);
    stage.clock.advance(HOUR_MS);
    const literalName = 'latest.at.20261101Z';
    const past = pastOf(stage, stage.repository);
    const found = async () => {
      const answer = await past('latest', START_MS, literalName);
      return [answer?.found?.isPast, answer?.found?.tag.manifestDigest, answer?.found?.endsSoonMs];
    };
    expect(await found()).toEqual([true, first?.digest, null]);
    const literal = await stage.image({ labels: { 'quay.expires-after': '1h' } });
    await stage.push(literalName, literal);
    const endMs = stage.clock.nowMs() + HOUR_MS;
    expect(await found()).toEqual([false, literal.digest, endMs]);
    // The future too may be the name of a tag.
    const future = await past('latest', START_MS + DAY_MS, literalName);
    expect(future?.found?.tag.manifestDigest).toBe(literal.digest);
    stage.clock.advance(HOUR_MS);
    expect(await found()).toEqual([true, first?.digest, null]);
  });
});
