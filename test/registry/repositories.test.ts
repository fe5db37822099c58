import { env } from 'cloudflare:workers';
import { describe, it } from 'vitest';

import {
  REPOSITORY_DESCRIPTION_LENGTH_MAX,
  TIME_MACHINE_WINDOW_SEC_DEFAULT,
} from '../../src/model/limits.ts';
import { REPOSITORY_STATES } from '../../src/model/references.ts';
import { interleaveAll } from '../support/interleave.ts';
import { losing } from '../support/lost-answers.ts';
import { aRepository, aRepositoryName, openTestRegistry } from '../support/registry.ts';

describe('lookupRepository', () => {
  it('gives the repository of exactly this name', async ({ expect }) => {
    const { registry, operations } = openTestRegistry();
    const made = await aRepository({ operations });
    expect(await registry.lookupRepository(made.namespaceName, made.name)).toEqual(made);
    expect(await registry.lookupRepository(made.namespaceName.toUpperCase(), made.name)).toBeNull();
    expect(await registry.lookupRepository(made.namespaceName, 'another')).toBeNull();
  });

  it('compares the kind after the look-up', async ({ expect }) => {
    const { registry, operations } = openTestRegistry();
    const { namespaceName, name } = await aRepository({ operations });
    const lookup = (kind: 'image' | 'application') =>
      registry.lookupRepository(namespaceName, name, { kind });
    expect((await lookup('image'))?.name).toBe(name);
    expect(await lookup('application')).toBeNull();
  });

  it('does not see a repository that is marked for deletion', async ({ expect }) => {
    const { registry, operations } = openTestRegistry();
    const { id, namespaceName, name } = await aRepository({ operations });
    await env.DB.prepare('UPDATE repository SET state = 3 WHERE id = ?').bind(id).run();
    expect(await registry.lookupRepository(namespaceName, name)).toBeNull();
    const raising = registry.lookupRepository(namespaceName, name, { raiseOnError: true });
    await expect(raising).rejects.toMatchObject({ code: 'RepositoryNotFound' });
  });

  it('scenario 54 (tags): gives the new id of a repository that was made anew', async ({
    expect,
  }) => {
    const { registry, operations } = openTestRegistry();
    const name = aRepositoryName();
    const first = await aRepository({ operations }, name);
    await env.DB.prepare(`UPDATE repository SET state = 3, name = 'gone' WHERE id = ?`)
      .bind(first.id)
      .run();
    const second = await aRepository({ operations }, name);
    expect(second.id).not.toBe(first.id);
    const found = await registry.lookupRepository(name.namespace, name.repository);
    expect(found?.id).toBe(second.id);
  });
});

describe('ensureRepository', () => {
  it('makes a private repository, and its namespace with the default window', async ({
    expect,
  }) => {
    const repository = await aRepository(openTestRegistry());
    expect(repository).toMatchObject({ isPublic: false, kind: 'image', state: 0 });
    const namespace = await env.DB.prepare('SELECT * FROM namespace').first();
    expect(namespace).toMatchObject({
      enabled: 1,
      removed_tag_expiration_s: TIME_MACHINE_WINDOW_SEC_DEFAULT,
    });
  });

  it('gives the one that is there, and writes nothing', async ({ expect }) => {
    const first = openTestRegistry();
    const name = aRepositoryName();
    const made = await aRepository(first, name);
    const again = openTestRegistry();
    expect(await again.operations.ensureRepository(name)).toEqual({ ...made, isNew: false });
    expect(again.meter.usage.d1RowsWritten).toBe(0);
  });

  it('makes one repository when two ask at once', async ({ expect }) => {
    await interleaveAll(async () => {
      const name = aRepositoryName();
      const ensure = (gate: NonNullable<Parameters<typeof openTestRegistry>[0]>['gate']) =>
        openTestRegistry(gate === undefined ? {} : { gate }).operations.ensureRepository(name);
      return {
        racers: [ensure, ensure],
        check: async ([one, other]) => {
          expect([one.status, other.status]).toEqual(['fulfilled', 'fulfilled']);
          const [first, second] = [one, other].map((outcome) =>
            outcome.status === 'fulfilled' ? outcome.value : null,
          );
          expect(first?.id).toBe(second?.id);
          expect(first?.isNew).not.toBe(second?.isNew);
        },
      };
    });
  });
});

describe('ensureRepository whose answer is lost', () => {
  it('gives the repository, and says whether it made it only if it knows', async ({ expect }) => {
    const world = openTestRegistry();
    for (const [fate, isNew] of [
      ['lost before', true],
      ['committed, then lost', null],
    ] as const) {
      const name = aRepositoryName();
      const { operations } = openTestRegistry({ gate: losing([fate]).gate });
      const { id, isNew: isKnown } = (await operations.ensureRepository(name)) ?? {};
      expect([fate, isKnown]).toEqual([fate, isNew]);
      const found = await world.registry.lookupRepository(name.namespace, name.repository);
      expect(found?.id).toBe(id);
    }
  });
});

/** What is done, though the first answer is lost. */
const lossy = () => openTestRegistry({ gate: losing(['committed, then lost']).gate }).operations;

describe('what a repository shows of itself', () => {
  it('is changed once, though the answer is lost, and not of one that is gone', async ({
    expect,
  }) => {
    const world = openTestRegistry();
    const { operations, registry, meter } = world;
    const repository = await aRepository(world);
    for (const visibility of ['public', 'private'] as const) {
      expect(await lossy().changeVisibility(repository, visibility)).toBe(true);
      const { namespaceName, name } = repository;
      const now = await registry.lookupRepository(namespaceName, name);
      expect(now?.isPublic).toBe(visibility === 'public');
    }
    expect(await operations.getRepositoryDescription(repository)).toBe('');
    const text = '🐈'.repeat(REPOSITORY_DESCRIPTION_LENGTH_MAX);
    expect(await lossy().changeRepositoryDescription(repository, text)).toBe(true);
    expect(await operations.getRepositoryDescription(repository)).toBe(text);
    const tooLong = operations.changeRepositoryDescription(repository, `${text}x`);
    await expect(tooLong).rejects.toMatchObject({ code: 'FieldInvalid' });
    const { d1RowsWritten } = meter.usage;
    expect(await operations.changeVisibility(repository, 'private')).toBe(true);
    expect(await operations.changeRepositoryDescription(repository, text)).toBe(true);
    expect(meter.usage.d1RowsWritten).toBe(d1RowsWritten);
    await operations.markRepositoryForDeletion(repository);
    expect(await operations.changeVisibility(repository, 'public')).toBe(false);
    expect(await operations.changeRepositoryDescription(repository, 'x')).toBe(false);
    expect(await operations.getRepositoryDescription(repository)).toBeNull();
  });
});

describe('changeRepositoryState', () => {
  it('changes a repository that is there, and never brings one back', async ({ expect }) => {
    const world = openTestRegistry();
    const { operations, registry } = world;
    const repository = await aRepository(world);
    const { namespaceName, name } = repository;
    const { readOnly, normal } = REPOSITORY_STATES;
    expect(await operations.changeRepositoryState(repository, readOnly)).toBe(true);
    expect(await operations.changeRepositoryState(repository, readOnly)).toBe(true);
    expect(await registry.lookupRepository(namespaceName, name)).toEqual({
      ...repository,
      state: readOnly,
    });
    await operations.markRepositoryForDeletion(repository);
    expect(await operations.changeRepositoryState(repository, normal)).toBe(false);
    expect(await registry.lookupRepository(namespaceName, name)).toBeNull();
  });
});
