import { describe, it } from 'vitest';

import type { ParsedManifest } from '../../../src/image/parsed-manifest.ts';
import { findViolations } from '../../support/invariants.ts';
import { execute, openStage } from '../../support/stage.ts';

const SUFFIXES = ['sig', 'att', 'sbom'];
const signatureName = ({ digest }: ParsedManifest, suffix: string) =>
  `${digest.replace(':', '-')}.${suffix}`;

/** An image tagged v1 and latest, and all that cosign may tag after it. */
async function aSignedImage(settings = {}) {
  const stage = await openStage({ settings });
  const image = await stage.image();
  const { manifest } = await stage.push('v1', image);
  await stage.push('latest', image);
  const signature = await stage.image();
  for (const suffix of SUFFIXES) {
    await stage.push(signatureName(image, suffix), signature);
  }
  return {
    ...stage,
    signed: { image, manifest },
    signatures: SUFFIXES.map((suffix) => signatureName(image, suffix)).toSorted(),
  };
}

describe('signature tags', () => {
  it('scenario 61 (tags): end with the last tag of their image, not before', async ({ expect }) => {
    const { registry, repository, signatures, ...stage } = await aSignedImage();
    await registry.deleteTag(repository, 'v1');
    expect(await stage.names()).toEqual(['latest', ...signatures]);
    const before = await stage.generation();
    stage.clock.advance(5);
    await registry.deleteTag(repository, 'latest');
    expect(await stage.names()).toEqual([]);
    expect(await stage.generation()).toBe(before + 1);
    const [row] = await stage.generations(signatures[0] ?? '');
    expect(row).toMatchObject({ is_current: 0, lifetime_end_ms: stage.clock.nowMs() });
    expect(await findViolations()).toEqual([]);
  });

  it('scenario 61 (tags): end when the last tag moves away', async ({ expect }) => {
    const { signed, signatures, ...stage } = await aSignedImage();
    const next = await stage.image();
    await stage.push('v1', next);
    await stage.push('latest', signed.image);
    expect(await stage.names()).toEqual(['latest', ...signatures, 'v1']);
    await stage.push('latest', next);
    expect(await stage.names()).toEqual(['latest', 'v1']);
    expect(await findViolations()).toEqual([]);
  });

  it('that point to what they sign are among the tags that a delete by digest ends', async ({
    expect,
  }) => {
    const { registry, repository, signed, signatures, ...stage } = await aSignedImage();
    const [attestation = '', ...others] = signatures;
    await registry.retargetTag(repository, attestation, signed.manifest);
    const { tags } = await registry.deleteTagsForManifest(signed.manifest);
    expect(tags.map(({ name }) => name)).toEqual(['latest', attestation, 'v1']);
    expect(others).toHaveLength(2);
    expect(await stage.names()).toEqual([]);
    expect(await findViolations()).toEqual([]);
  });

  it('scenario 61 (tags): end with a delete by digest', async ({ expect }) => {
    const { registry, signed, ...stage } = await aSignedImage();
    const { tags } = await registry.deleteTagsForManifest(signed.manifest);
    expect(tags.map(({ name }) => name)).toEqual(['latest', 'v1']);
    expect(await stage.names()).toEqual([]);
    expect(await findViolations()).toEqual([]);
  });

  it('scenario 61 (tags): stay if they are immutable and that is enforced', async ({ expect }) => {
    for (const immutableTags of [true, false]) {
      const stage = await aSignedImage({ immutableTags });
      await execute("UPDATE tag SET immutable = 1 WHERE name LIKE '%.sig'");
      await stage.registry.deleteTag(stage.repository, 'v1');
      await stage.registry.deleteTag(stage.repository, 'latest');
      expect(await stage.names()).toEqual(
        immutableTags ? [signatureName(stage.signed.image, 'sig')] : [],
      );
    }
  });

  it('stay when the delete of the last tag is refused, or the move of it', async ({ expect }) => {
    const { registry, repository, signed, signatures, ...stage } = await aSignedImage();
    await registry.deleteTag(repository, 'v1');
    await execute("UPDATE tag SET immutable = 1 WHERE name = 'latest'");
    await expect(registry.deleteTag(repository, 'latest')).rejects.toThrow('immutable');
    await expect(registry.deleteTagsForManifest(signed.manifest)).rejects.toThrow('immutable');
    await expect(stage.push('latest', await stage.image())).rejects.toThrow('immutable');
    expect(await stage.names()).toEqual(['latest', ...signatures]);
  });

  it('scenario 61 (tags): leave their image alone when they are deleted', async ({ expect }) => {
    const { registry, repository, signatures, ...stage } = await aSignedImage();
    for (const name of signatures) {
      await registry.deleteTag(repository, name);
    }
    expect(await stage.names()).toEqual(['latest', 'v1']);
  });

  it('scenario 62 (tags): that move in the millisecond of the cascade are over', async ({
    expect,
  }) => {
    const { registry, repository, signed, ...stage } = await aSignedImage();
    const name = signatureName(signed.image, 'sig');
    await registry.deleteTag(repository, 'v1');
    await stage.push(name, await stage.image());
    await registry.deleteTag(repository, 'latest');
    const rows = await stage.generations(name);
    expect(rows.map((row) => row['is_current'])).toEqual([0, 0]);
    expect(await findViolations()).toEqual([]);
  });

  it('stay when the last tag that points to their image is a signature itself', async ({
    expect,
  }) => {
    const { registry, repository, signed, signatures, ...stage } = await aSignedImage();
    // The signature of something else, which happens to be the same image.
    const other = await stage.image();
    await stage.push(signatureName(other, 'sig'), signed.image);
    await registry.deleteTag(repository, signatureName(other, 'sig'));
    expect(await stage.names()).toEqual(['latest', ...signatures, 'v1']);
    await registry.deleteTag(repository, 'v1');
    await stage.push(signatureName(other, 'sig'), signed.image);
    await registry.deleteTag(repository, 'latest');
    expect(await stage.names()).toEqual([signatureName(other, 'sig')]);
  });

  it('of names that only resemble them stay', async ({ expect }) => {
    const { registry, signed, ...stage } = await aSignedImage();
    const stem = signed.image.digest.replace(':', '-');
    const lookalikes = [
      stem,
      `${stem}.SIG`,
      `${stem}.sig2`,
      `${stem}.sign`,
      `${stem}-sig`,
      `${stem.toUpperCase()}.sig`,
      `${stem.slice(0, -1)}.sig`,
      `x${stem}.sig`,
    ];
    const other = await stage.image();
    for (const name of lookalikes) {
      await stage.push(name, other);
    }
    await registry.deleteTagsForManifest(signed.manifest);
    expect(await stage.names()).toEqual(lookalikes.toSorted());
  });

  it('stay when their image only expires, or when the cascade is switched off', async ({
    expect,
  }) => {
    const stage = await openStage();
    const image = await stage.image({ labels: { 'quay.expires-after': '1h' } });
    await stage.push('v1', image);
    await stage.push(signatureName(image, 'sig'), await stage.image());
    stage.clock.advance(3_600_000);
    expect(await stage.names()).toEqual([signatureName(image, 'sig')]);

    const off = await aSignedImage({ cosignCascade: false });
    await off.registry.deleteTagsForManifest(off.signed.manifest);
    expect(await off.names()).toEqual(off.signatures);
  });
});
