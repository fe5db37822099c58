import type { Witness } from './invariants.ts';
import type { Snapshot, StoredManifest } from './snapshot.ts';

/** A manifest or a blob in a repository. */
export interface Placed {
  readonly repositoryId: number;
  readonly digest: string;
}

export const placeOf = ({ repositoryId, digest }: Placed): string => `${repositoryId} ${digest}`;

/**
 * What pulls would find in a snapshot, down to objects whose content a witness has read: the same as
 * pulling it all, without a call to the stores.
 */
export class Shelf {
  readonly #snapshot: Snapshot;
  readonly #witness: Witness;
  readonly #manifests: ReadonlyMap<string, StoredManifest>;
  readonly #linked: ReadonlySet<string>;
  readonly #blobs: ReadonlyMap<string, { id: number; objectKey: string }>;

  constructor(snapshot: Snapshot, witness: Witness) {
    this.#snapshot = snapshot;
    this.#witness = witness;
    this.#manifests = new Map(snapshot.manifests.map((one) => [placeOf(one), one]));
    this.#linked = new Set(
      snapshot.manifests.flatMap(({ repositoryId, blobIds }) =>
        blobIds.map((id) => `${repositoryId} ${id}`),
      ),
    );
    this.#blobs = new Map(snapshot.blobs.map((blob) => [blob.digest, blob]));
  }

  /** What of a manifest, its children and their blobs is not there: nothing, if it is whole. */
  missingOf({ repositoryId, digest }: Placed): readonly string[] {
    if (!this.#manifests.has(placeOf({ repositoryId, digest }))) {
      return [`manifest ${repositoryId} ${digest} is not there`];
    }
    return (this.#witness.namedBy(digest) ?? ['what it names']).flatMap((named) => {
      const part = { repositoryId, digest: named };
      if (this.#manifests.has(placeOf(part))) {
        return this.missingOf(part);
      }
      return this.isBlobVisible(part) ? [] : [`${named} of ${repositoryId} ${digest} is not there`];
    });
  }

  isBlobVisible({ repositoryId, digest }: Placed): boolean {
    const blob = this.#blobs.get(digest);
    const place = `${repositoryId} ${blob?.id}`;
    return (
      blob !== undefined &&
      (this.#linked.has(place) || this.#snapshot.leases.has(place)) &&
      this.#snapshot.objects.has(blob.objectKey)
    );
  }

  /** Which rows and objects a pull of a manifest reads. */
  pathOf({ repositoryId, digest }: Placed): string {
    const manifest = this.#manifests.get(placeOf({ repositoryId, digest }));
    const parts = (this.#witness.namedBy(digest) ?? []).map((named) => {
      const part = { repositoryId, digest: named };
      return this.#manifests.has(placeOf(part))
        ? this.pathOf(part)
        : String(this.#blobs.get(named)?.objectKey);
    });
    return [manifest?.id, manifest?.bytesKey, ...parts].join(' ');
  }
}
