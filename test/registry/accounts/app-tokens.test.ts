import { describe, it } from 'vitest';

import type { IssuedCredential } from '../../../src/model/accounts.ts';
import {
  APP_TOKEN_EXPIRING_DAYS,
  APP_TOKEN_LIFETIME_MS_MAX,
  APP_TOKEN_LIFETIME_MS_MIN,
  APP_TOKENS_PER_USER_MAX,
} from '../../../src/model/limits.ts';
import { epochMs, MS_PER_DAY } from '../../../src/model/time.ts';
import { logIn, namespaceOf } from '../../support/accounts.ts';
import { allFates, endingOf, losing } from '../../support/lost-answers.ts';
import { openTestRegistry } from '../../support/registry.ts';
import { select } from '../../support/stage.ts';

async function aWorld() {
  const world = openTestRegistry();
  const { user } = await world.operations.createUser(namespaceOf('ada'));
  return { ...world, user };
}

describe('an app token', () => {
  it('lets a person in until it ends or is revoked', async ({ expect }) => {
    const world = await aWorld();
    const { operations, clock, user, settleDeferred } = world;
    const expiresMs = epochMs(clock.nowMs() + APP_TOKEN_LIFETIME_MS_MIN);
    const { credential, secret } = await operations.createAppToken(user, {
      title: 'laptop',
      expiresMs,
    });
    expect(credential).toEqual({
      uuid: credential.uuid,
      title: 'laptop',
      createdMs: clock.nowMs(),
      expiresMs,
      lastUsedMs: null,
    });
    const lasting = await operations.createAppToken(user, { title: 'ci', expiresMs: null });
    expect(await logIn(world, secret)).toMatchObject({ name: 'ada' });
    await settleDeferred();
    expect(await operations.getAppToken(user, credential.uuid)).toEqual({
      ...credential,
      lastUsedMs: clock.nowMs(),
    });
    expect(await operations.getAppToken({ id: user.id + 1 }, credential.uuid)).toBeNull();
    expect(await operations.revokeAppToken({ id: user.id + 1 }, credential.uuid)).toBe(false);
    clock.advance(APP_TOKEN_LIFETIME_MS_MIN);
    expect(await logIn(world, secret)).toMatchObject({ name: null });
    expect(await logIn(world, lasting.secret)).toMatchObject({ name: 'ada' });
    const titles = async () => (await operations.listAppTokens(user)).map(({ title }) => title);
    expect(await titles()).toEqual(['first token', 'laptop', 'ci']);
    await operations.createAppToken(user, { title: 'new', expiresMs: null });
    expect(await titles()).toEqual(['first token', 'ci', 'new']);
    expect(await operations.revokeAppToken(user, lasting.credential.uuid)).toBe(true);
    expect(await operations.revokeAppToken(user, lasting.credential.uuid)).toBe(false);
    expect(await logIn(world, lasting.secret)).toMatchObject({ name: null });
  });

  it('is listed as one to be replaced, from four weeks before its end', async ({ expect }) => {
    const { operations, clock, user } = await aWorld();
    const endMs = clock.nowMs() + APP_TOKEN_EXPIRING_DAYS * MS_PER_DAY;
    for (const [title, expiresMs] of [
      ['forever', null],
      ['soon', epochMs(endMs)],
      ['later', epochMs(endMs + 1)],
    ] as const) {
      await operations.createAppToken(user, { title, expiresMs });
    }
    const expiring = async () =>
      (await operations.listAppTokens(user, { isExpiring: true })).map(({ title }) => title);
    expect(await expiring()).toEqual(['soon']);
    clock.advance(1);
    expect(await expiring()).toEqual(['soon', 'later']);
  });

  it('is refused by what is wrong with it, or if there are too many', async ({ expect }) => {
    const { operations, clock, user } = await aWorld();
    const ends = (ms: number) => ({ title: 'x', expiresMs: epochMs(clock.nowMs() + ms) });
    for (const token of [
      { title: '', expiresMs: null },
      { title: 'x'.repeat(256), expiresMs: null },
      ends(0),
      ends(APP_TOKEN_LIFETIME_MS_MIN - 1),
      ends(APP_TOKEN_LIFETIME_MS_MAX + 1),
    ]) {
      const making = operations.createAppToken(user, token);
      await expect(making).rejects.toMatchObject({ code: 'FieldInvalid' });
    }
    const { robot } = await operations.createRobot(namespaceOf('ada'), 'ci');
    for (const { id } of [robot, { id: 999 }]) {
      const making = operations.createAppToken({ id }, { title: 'x', expiresMs: null });
      await expect(making).rejects.toMatchObject({ code: 'AccountNotFound' });
    }
    expect(await operations.listAppTokens(robot)).toEqual([]);
    const [{ uuid } = {}] = await select("SELECT uuid FROM credential WHERE kind = 'robot_token'");
    expect(await operations.getAppToken(robot, String(uuid))).toBeNull();
    expect(await operations.revokeAppToken(robot, String(uuid))).toBe(false);
    for (let count = 1; count < APP_TOKENS_PER_USER_MAX; count += 1) {
      await operations.createAppToken(user, ends(APP_TOKEN_LIFETIME_MS_MIN));
    }
    const more = { title: 'more', expiresMs: null };
    await expect(operations.createAppToken(user, more)).rejects.toMatchObject({
      code: 'LimitReached',
      detail: { what: 'app tokens', max: APP_TOKENS_PER_USER_MAX },
    });
    clock.advance(APP_TOKEN_LIFETIME_MS_MIN);
    expect((await operations.createAppToken(user, more)).credential.title).toBe('more');
    expect(await operations.listAppTokens(user)).toHaveLength(2);
  });

  it('is made once, though answers are lost', async ({ expect }) => {
    const { user } = await aWorld();
    for (const fates of allFates(3)) {
      const what = fates.join('; ');
      const { gate, losses } = losing(fates);
      const { operations } = openTestRegistry({ gate });
      const title = what;
      const ending = await endingOf<IssuedCredential>(
        operations.createAppToken(user, { title, expiresMs: null }),
        losses,
      );
      const made = await select('SELECT uuid FROM credential WHERE title = ?', title);
      const after = openTestRegistry();
      if ('given' in ending) {
        expect(made, what).toEqual([{ uuid: ending.given.credential.uuid }]);
        expect(await logIn(after, ending.given.secret), what).toMatchObject({ name: 'ada' });
        const again = losing(fates);
        const revoking = openTestRegistry({ gate: again.gate }).operations.revokeAppToken(
          user,
          ending.given.credential.uuid,
        );
        expect(await revoking, what).toBe(true);
        expect(await logIn(after, ending.given.secret), what).toMatchObject({ name: null });
      } else {
        expect([ending.losses, made.length <= 1], what).toEqual([3, true]);
      }
      await after.settleDeferred();
    }
  });

  it('costs one round trip to make, and one to revoke', async ({ expect }) => {
    const { operations, meter, user } = await aWorld();
    const before = { ...meter.usage };
    const { credential } = await operations.createAppToken(user, { title: 'x', expiresMs: null });
    await operations.revokeAppToken(user, credential.uuid);
    expect(meter.usage.d1RoundTrips - before.d1RoundTrips).toBe(2);
    expect(meter.usage.d1RowsWritten - before.d1RowsWritten).toBe(6);
  });
});
