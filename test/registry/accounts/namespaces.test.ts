import { describe, it } from 'vitest';

import type { NamespaceInfo } from '../../../src/model/access.ts';
import { logIn, namespaceOf, repositoryOf } from '../../support/accounts.ts';
import { findViolations } from '../../support/invariants.ts';
import { allFates, endingOf, losing } from '../../support/lost-answers.ts';
import { aRepository, openTestRegistry } from '../../support/registry.ts';
import { openStage, select } from '../../support/stage.ts';

const acme = namespaceOf('acme');

describe('createOrganization', () => {
  it('makes one without members, which is listed among all namespaces', async ({ expect }) => {
    const { operations } = openTestRegistry({ settings: { removedTagExpirationSec: 60 } });
    const made = await operations.createOrganization(acme);
    expect(made).toEqual({
      id: made.id,
      name: 'acme',
      kind: 'organization',
      isEnabled: true,
      memberRole: 'none',
      windowSec: 60,
      heldByPullDays: 0,
      regionMode: 'off',
    });
    expect(await operations.getNamespace(acme)).toEqual(made);
    expect(await operations.listMembers(acme)).toEqual({ items: [], hasMore: false });
    await operations.createUser(namespaceOf('ada'));
    await operations.createOrganization(namespaceOf('a'));
    await operations.createOrganization(namespaceOf('library'));
    const first = await operations.listNamespaces({ limit: 2 });
    expect(first.items.map(({ name, kind }) => [name, kind])).toEqual([
      ['a', 'organization'],
      ['acme', 'organization'],
    ]);
    expect(first).toMatchObject({ hasMore: true, cursor: 'acme' });
    const rest = await operations.listNamespaces({ cursor: first.cursor ?? null, limit: 2 });
    expect(rest.items.map(({ name, kind }) => [name, kind])).toEqual([
      ['ada', 'user'],
      ['library', 'organization'],
    ]);
    expect(rest.hasMore).toBe(false);
  });

  it('refuses the name of a person, and that of an organization that a push made', async ({
    expect,
  }) => {
    const registry = openTestRegistry();
    const { operations } = registry;
    const repository = await aRepository(registry, repositoryOf('acme/app'));
    await operations.createUser(namespaceOf('ada'));
    for (const name of ['acme', 'ada']) {
      const creating = operations.createOrganization(namespaceOf(name));
      await expect(creating).rejects.toMatchObject({ code: 'NameTaken', detail: { name } });
    }
    // It needs no making: it can have members as it is.
    expect(await operations.getNamespace(acme)).toMatchObject({
      id: repository.namespaceId,
      kind: 'organization',
    });
    await operations.markNamespaceForDeletion(acme);
    expect(await operations.getNamespace(acme)).toBeNull();
    const [{ name: hidden } = {}] = await select('SELECT name FROM namespace ORDER BY id');
    const marked = namespaceOf(String(hidden));
    expect(await operations.getNamespace(marked)).toBeNull();
    await expect(operations.createOrganization(marked)).rejects.toThrow('taken');
    expect(await operations.changeNamespace(marked, { isEnabled: true })).toBeNull();
    expect(await operations.changeNamespace(marked, { memberRole: 'read' })).toBeNull();
    await expect(operations.createRobot(marked, 'ci')).rejects.toThrow('not found');
    expect((await operations.listNamespaces()).items.map(({ name }) => name)).toEqual(['ada']);
    expect((await operations.createOrganization(acme)).id).not.toBe(repository.namespaceId);
  });

  it('is survived by lost answers, and takes no other for its own work', async ({ expect }) => {
    const taken = namespaceOf('taken');
    await openTestRegistry().operations.createOrganization(taken);
    for (const fates of allFates(3)) {
      const what = fates.join('; ');
      const name = namespaceOf(`org-${fates.map((fate) => fate.length).join('-')}`);
      const { gate, losses } = losing(fates);
      const creating = openTestRegistry({ gate }).operations.createOrganization(name);
      const ending = await endingOf<NamespaceInfo>(creating, losses);
      if ('given' in ending) {
        expect(ending.given, what).toMatchObject({ name, kind: 'organization' });
      } else {
        expect(ending.losses, what).toBe(3);
      }
      const lossy = losing(fates).gate;
      const taking = openTestRegistry({ gate: lossy }).operations.createOrganization(taken);
      await expect(taking, what).rejects.toThrow(/was lost|is taken/);
    }
  });
});

describe('changeNamespace', () => {
  it('says what all members may, and is refused for who has none', async ({ expect }) => {
    const registry = openTestRegistry();
    const { operations, meter } = registry;
    const { user, secret } = await operations.createUser(namespaceOf('ada'));
    await aRepository(registry, repositoryOf('acme/app'));
    await operations.setMember(acme, user.name, 'member');
    for (const memberRole of ['read', 'write', 'admin', 'none'] as const) {
      const changed = await operations.changeNamespace(acme, { memberRole });
      expect(changed).toMatchObject({ memberRole });
      expect((await logIn(registry, secret, 'acme/app')).role).toBe(
        memberRole === 'none' ? null : memberRole,
      );
    }
    await registry.settleDeferred();
    const { d1RowsWritten } = meter.usage;
    await operations.changeNamespace(acme, { memberRole: 'none' });
    expect(meter.usage.d1RowsWritten).toBe(d1RowsWritten);
    const ofPerson = { memberRole: 'read', windowSec: 0 } as const;
    await expect(operations.changeNamespace('ada', ofPerson)).rejects.toMatchObject({
      code: 'NotAnOrganization',
    });
    expect(await operations.changeNamespace('none', ofPerson)).toBeNull();
    expect(await operations.getNamespace(namespaceOf('ada'))).toMatchObject({
      memberRole: 'none',
      windowSec: 1_209_600,
    });
  });
});

describe('changeNamespaceEnabled', () => {
  it('has garbage collected again that was not while it was closed', async ({ expect }) => {
    const stage = await openStage();
    const { operations, housekeeping, registry, repository, clock } = stage;
    await stage.push('v1', await stage.image());
    await stage.push('v2', await stage.image());
    await registry.deleteTag(repository, 'v1');
    const { namespaceName } = repository;
    await operations.changeNamespace(namespaceName, { isEnabled: false });
    clock.advance(30 * 86_400_000);
    await housekeeping.collectRepository(repository.id);
    expect(await select('SELECT earliest_end_ms, earliest_lease_ms FROM repository_gc')).toEqual([
      { earliest_end_ms: null, earliest_lease_ms: null },
    ]);
    expect(await stage.generations('v1')).toHaveLength(1);
    await operations.changeNamespace(namespaceName, { isEnabled: true });
    expect(await findViolations()).toEqual([]);
    await housekeeping.collectGarbage();
    expect(await stage.generations('v1')).toEqual([]);
    expect(await stage.generations('v2')).toHaveLength(1);
    const before = stage.meter.usage.d1RowsWritten;
    await operations.changeNamespace(namespaceName, { isEnabled: true });
    expect(stage.meter.usage.d1RowsWritten).toBe(before);
    expect(await operations.changeNamespace('none', { isEnabled: true })).toBeNull();
  });
});
