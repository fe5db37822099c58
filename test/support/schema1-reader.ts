/** A layer of a schema 1 manifest, as whoever knows nothing of this registry reads it. */
export interface ReadLayer {
  readonly blobSum: string;
  readonly id: string;
  readonly throwaway: boolean;
  readonly command: string | undefined;
  readonly metadata: Record<string, unknown>;
}

/**
 * Reads a schema 1 manifest by its specification, beside all the code under test, and gives its
 * layers, base first. Throws for what breaks it: a missing field, lists of two lengths, a layer
 * whose parent is not the one below it, an id that comes twice.
 */
export function readSchema1(bytes: Uint8Array | undefined): readonly ReadLayer[] {
  const manifest = JSON.parse(new TextDecoder().decode(bytes)) as {
    schemaVersion: number;
    name: string;
    tag: string;
    architecture: string;
    fsLayers: { blobSum: string }[];
    history: { v1Compatibility: string }[];
  };
  const { schemaVersion, fsLayers, history } = manifest;
  if (
    schemaVersion !== 1 ||
    manifest.architecture !== 'amd64' ||
    fsLayers.length !== history.length
  ) {
    throw new Error('not a schema 1 manifest');
  }
  const layers: ReadLayer[] = [];
  for (let at = fsLayers.length - 1; at >= 0; at -= 1) {
    const metadata = JSON.parse(history[at]?.v1Compatibility ?? '') as Record<string, unknown>;
    const { id, parent, container_config: container } = metadata;
    if (parent !== layers.at(-1)?.id || layers.some((layer) => layer.id === id)) {
      throw new Error(`the layer ${String(id)} is not on top of the one below`);
    }
    layers.push({
      blobSum: fsLayers[at]?.blobSum ?? '',
      id: String(id),
      throwaway: metadata['throwaway'] === true,
      command: (container as { Cmd: string[] } | undefined)?.Cmd.join(' '),
      metadata,
    });
  }
  return layers;
}
