import { describe, it } from 'vitest';

import { anIndex } from '../../support/content.ts';
import type { Gate } from '../../support/gate.ts';
import { interleaveAll } from '../../support/interleave.ts';
import { findViolations } from '../../support/invariants.ts';
import { change, codeOf, execute, openStage, select, valueOf } from '../../support/stage.ts';

/** Whatever is changed between the reads of a push and its write is seen by the write. */
describe('a push while', () => {
  it('I9: its tag is locked moves the tag before the lock, or is refused', async ({ expect }) => {
    const stage = await openStage();
    await interleaveAll(async () => {
      await stage.clear();
      const { tag } = await stage.push('v1', await stage.image());
      const next = await stage.image();
      return {
        racers: [
          (gate) => stage.push('v1', next, gate),
          change(`UPDATE tag SET immutable = 1 WHERE id = ${tag.id} AND is_current = 1
            RETURNING id`),
        ],
        check: async ([pushed, locked], schedule) => {
          const isLocked = valueOf(locked)[0]?.length === 1;
          expect(codeOf(pushed), schedule).toBe(isLocked ? 'TagImmutable' : null);
          const [current] = (await stage.generations('v1')).filter(
            (row) => row['is_current'] === 1,
          );
          expect(current?.['digest']).toBe(isLocked ? tag.manifestDigest : next.digest);
          expect(await select('SELECT id FROM manifest')).toHaveLength(isLocked ? 1 : 2);
          expect(await findViolations(), schedule).toEqual([]);
        },
      };
    });
  });

  it('a policy that locks the name comes evaluates it, or is there before it', async ({
    expect,
  }) => {
    const stage = await openStage();
    const { id, namespaceId } = stage.repository;
    await interleaveAll(async () => {
      await stage.clear();
      await execute('DELETE FROM repository_immutability_policy');
      const image = await stage.image();
      return {
        racers: [
          (gate) => stage.push('v1', image, gate),
          // As a policy is made: the row and the epoch in one transaction, then the sweep.
          change(
            `INSERT INTO repository_immutability_policy (uuid, repository_id, tag_pattern)
              VALUES ('${crypto.randomUUID()}', ${id}, 'v.*')`,
            `UPDATE repository SET immutability_epoch = immutability_epoch + 1 WHERE id = ${id}`,
            `UPDATE tag SET immutable = 1 WHERE repository_id = ${id} AND is_current = 1
              RETURNING id`,
          ),
        ],
        check: async ([pushed, policy], schedule) => {
          const [, , swept] = valueOf(policy);
          const { tag } = valueOf(pushed);
          expect(tag.immutable, schedule).toBe(swept?.length === 0);
          expect(await stage.generations('v1')).toMatchObject([{ id: tag.id, immutable: 1 }]);
          expect(await findViolations(), schedule).toEqual([]);
        },
      };
    });
    // The namespace's epoch stands for the policies of the namespace.
    await stage.clear();
    const image = await stage.image();
    await interleaveAll(async () => {
      await stage.clear();
      await execute('DELETE FROM repository_immutability_policy');
      await execute('DELETE FROM namespace_immutability_policy');
      return {
        racers: [
          (gate) => stage.push('v1', image, gate),
          change(
            `INSERT INTO namespace_immutability_policy (uuid, namespace_id, tag_pattern)
              VALUES ('${crypto.randomUUID()}', ${namespaceId}, 'v.*')`,
            `UPDATE namespace SET immutability_epoch = immutability_epoch + 1`,
            `UPDATE tag SET immutable = 1 WHERE repository_id = ${id} AND is_current = 1`,
          ),
        ],
        check: async ([pushed], schedule) => {
          valueOf(pushed);
          expect(await stage.generations('v1'), schedule).toMatchObject([{ immutable: 1 }]);
        },
      };
    });
  });

  it('I11: the repository is marked for deletion leaves nothing in it afterwards', async ({
    expect,
  }) => {
    const stage = await openStage();
    await interleaveAll(async () => {
      await stage.clear();
      const image = await stage.image();
      return {
        racers: [
          (gate) => stage.push('v1', image, gate),
          change('UPDATE repository SET state = 3', 'SELECT id FROM tag'),
        ],
        check: async ([pushed, marked], schedule) => {
          const [, tagsThen] = valueOf(marked);
          const wasFirst = tagsThen?.length === 1;
          expect(codeOf(pushed), schedule).toBe(wasFirst ? null : 'RetargetFailed');
          expect(await select('SELECT id FROM tag')).toHaveLength(wasFirst ? 1 : 0);
          expect(await select('SELECT id FROM manifest')).toHaveLength(wasFirst ? 1 : 0);
          expect(await findViolations(), schedule).toEqual([]);
        },
      };
    });
  });

  it.for([
    ['quay.immutable', 'true', { immutable: 1, lifetime_end_ms: null }],
    ['quay.expires-after', '1h', { immutable: 0 }],
  ] as const)('the label %s is added does not miss it', async ([key, value, row], { expect }) => {
    const stage = await openStage();
    await interleaveAll(async () => {
      await stage.clear();
      const image = await stage.image();
      const { manifest } = await stage.push('before', image);
      return {
        racers: [
          (gate) => stage.push('v1', image, gate),
          // As the labels API does it: the label, and its effect on the tags that are there.
          change(
            `INSERT INTO manifest_label
              (uuid, manifest_id, repository_id, key, value, media_type, source_type)
              VALUES ('${crypto.randomUUID()}', ${manifest.id}, ${stage.repository.id},
                '${key}', '${value}', 'text/plain', 'api')`,
            key === 'quay.immutable'
              ? 'UPDATE tag SET immutable = 1'
              : 'UPDATE tag SET lifetime_end_ms = lifetime_start_ms + 3600000',
            `UPDATE repository_gc SET earliest_end_ms = 0`,
          ),
        ],
        check: async ([pushed], schedule) => {
          const { tag } = valueOf(pushed);
          const end = key === 'quay.immutable' ? null : tag.lifetimeStartMs + 3_600_000;
          expect(await stage.generations('v1'), schedule).toMatchObject([
            { id: tag.id, ...row, lifetime_end_ms: end },
          ]);
        },
      };
    });
  });

  it('a label comes to the child of the index does not miss it', async ({ expect }) => {
    const stage = await openStage();
    await interleaveAll(async () => {
      await stage.clear();
      const child = await stage.image();
      const { manifest } = await stage.push('child', child);
      const index = await anIndex([child]);
      return {
        racers: [
          (gate) => stage.push('v1', index, gate),
          change(
            `INSERT INTO manifest_label
              (uuid, manifest_id, repository_id, key, value, media_type, source_type)
              VALUES ('${crypto.randomUUID()}', ${manifest.id}, ${stage.repository.id},
                'quay.immutable', 'true', 'text/plain', 'api')`,
            "SELECT id FROM tag WHERE name = 'v1'",
          ),
        ],
        check: async ([pushed, labelled], schedule) => {
          const wasFirst = valueOf(labelled)[1]?.length === 1;
          expect(valueOf(pushed).tag.immutable, schedule).toBe(!wasFirst);
          expect(await findViolations(), schedule).toEqual([]);
        },
      };
    });
  });

  it.for([['by tag'], ['by digest']] as const)(
    'I8: garbage collection takes a blob of it: %s it fails whole, or holds the blob',
    async ([how], { expect }) => {
      const stage = await openStage();
      const { layer, repository } = stage;
      const leases = await select('SELECT * FROM uploaded_blob');
      await interleaveAll(async () => {
        await stage.clear();
        for (const lease of leases) {
          await execute(
            `INSERT INTO uploaded_blob SELECT ?, ?, ?, ? WHERE true ON CONFLICT DO NOTHING`,
            lease['repository_id'],
            lease['blob_id'],
            lease['uploaded_ms'],
            lease['expires_ms'],
          );
        }
        const image = await stage.image();
        return {
          racers: [
            (gate): Promise<unknown> =>
              how === 'by tag'
                ? stage.push('v1', image, gate)
                : stage
                    .behind(gate)
                    .createManifestWithTempTag(repository, image, 60, { raiseOnError: true }),
            change(
              `INSERT INTO gc_blob_candidate SELECT id FROM blob WHERE digest = '${layer.digest}'
                ON CONFLICT DO NOTHING`,
              `DELETE FROM uploaded_blob
              WHERE blob_id = (SELECT id FROM blob WHERE digest = '${layer.digest}')
                AND NOT EXISTS (SELECT 1 FROM manifest_blob link
                  WHERE link.blob_id = uploaded_blob.blob_id) RETURNING blob_id`,
            ),
          ],
          check: async ([pushed, collected], schedule) => {
            const isCollected = valueOf(collected)[1]?.length === 1;
            expect(codeOf(pushed), schedule).toBe(isCollected ? 'BlobUnknown' : null);
            for (const table of ['manifest', 'tag']) {
              expect(await select(`SELECT id FROM ${table}`)).toHaveLength(isCollected ? 0 : 1);
            }
            expect(await findViolations(), schedule).toEqual([]);
          },
        };
      });
    },
  );

  it('I8: garbage collection takes the child of an index fails whole, or holds it', async ({
    expect,
  }) => {
    const stage = await openStage();
    await interleaveAll(async () => {
      await stage.clear();
      const child = await stage.image();
      const { manifest } = await stage.push('child', child);
      const index = await anIndex([child]);
      return {
        racers: [
          (gate) => stage.push('v1', index, gate),
          change(
            `DELETE FROM tag WHERE manifest_id = ${manifest.id}`,
            `DELETE FROM manifest WHERE id = ${manifest.id} AND NOT EXISTS
              (SELECT 1 FROM manifest_child WHERE child_manifest_id = ${manifest.id}) RETURNING id`,
          ),
        ],
        check: async ([pushed, collected], schedule) => {
          const isCollected = valueOf(collected)[1]?.length === 1;
          expect(codeOf(pushed), schedule).toBe(isCollected ? 'BlobUnknown' : null);
          expect(await stage.names()).toEqual(isCollected ? [] : ['v1']);
          expect(await select('SELECT id FROM manifest')).toHaveLength(isCollected ? 0 : 2);
        },
      };
    });
  });

  it('garbage collection takes the manifest itself stores it anew', async ({ expect }) => {
    const stage = await openStage();
    await interleaveAll(async () => {
      await stage.clear();
      const image = await stage.image({ labels: { maintainer: 'acme' } });
      const { manifest } = await stage.push('old', image);
      await stage.registry.deleteTag(stage.repository, 'old');
      return {
        racers: [
          (gate) => stage.push('v1', image, gate),
          change(
            "DELETE FROM tag WHERE name = 'old'",
            `DELETE FROM manifest WHERE id = ${manifest.id} AND NOT EXISTS
              (SELECT 1 FROM tag WHERE manifest_id = ${manifest.id}) RETURNING id`,
          ),
        ],
        check: async ([pushed, collected], schedule) => {
          const isCollected = valueOf(collected)[1]?.length === 1;
          const again = valueOf(pushed);
          expect(again.manifest.id === manifest.id, schedule).toBe(!isCollected);
          expect(await select('SELECT key FROM manifest_label')).toEqual([{ key: 'maintainer' }]);
          expect(await stage.names()).toEqual(['v1']);
          expect(await findViolations(), schedule).toEqual([]);
        },
      };
    });
  });

  it('policies change before each of its attempts gives up, and leaves no trace', async ({
    expect,
  }) => {
    const stage = await openStage();
    const image = await stage.image();
    let calls = 0;
    const gate: Gate = async ({ store }, run) => {
      calls += store === 'd1' ? 1 : 0;
      if (store === 'd1' && calls % 2 === 0) {
        await execute('UPDATE namespace SET immutability_epoch = immutability_epoch + 1');
      }
      return run();
    };
    await expect(
      stage.behind(gate).createManifestAndRetargetTag(stage.repository, image, 'v1'),
    ).rejects.toMatchObject({ code: 'Conflict', detail: { attempts: 3 } });
    expect(calls).toBe(6);
    expect(await select('SELECT id FROM manifest')).toEqual([]);
    expect(await findViolations()).toEqual([]);
  });
});
