import { needsConfig } from './config.ts';
import type { ChildDescriptor, ParsedImage, ParsedIndex } from './parsed-manifest.ts';

/** Whether there is a schema 1 form: of an image, all of whose layers are kept here. */
export function hasSchema1Form(parsed: ParsedImage): boolean {
  return needsConfig(parsed) && parsed.layers.every(({ isRemote }) => !isRemote);
}

/**
 * The child that a list is converted to: the first for amd64 and Linux, since that is what clients
 * which know no lists run on. Children without a platform are no candidates.
 */
export function childToConvert({ manifests }: ParsedIndex): ChildDescriptor | null {
  const child = manifests.find(
    ({ platform }) => platform?.architecture === 'amd64' && platform.os === 'linux',
  );
  return child ?? null;
}
