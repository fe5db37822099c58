import type { RepositoryName } from '../../model/names.ts';
import type { UploadQuota } from '../../storage/d1/quota.ts';
import type { RegistryDeps } from '../deps.ts';
import { requireRoom } from '../quota.ts';
import { cancelUpload } from './cancel.ts';

/**
 * Cancels an upload that the namespace has no room for: beside what it holds, all that the open
 * uploads of the repository have received and what is announced. What these are to become may be
 * held already; that is known only once a manifest names it. Errors: QuotaExceeded.
 */
export async function requireRoomForUpload(
  upload: { readonly uploadId: string; readonly onlyClaim: string | null },
  {
    name,
    quota,
    announcedBytes,
  }: {
    readonly name: RepositoryName;
    /** As it was read in the round trip that made the upload, or claimed it. */
    readonly quota: UploadQuota | null;
    readonly announcedBytes: number;
  },
  deps: RegistryDeps,
): Promise<void> {
  if (quota === null) {
    return;
  }
  try {
    requireRoom(name, { quota, addedBytes: quota.uploadedBytes + announcedBytes }, deps);
  } catch (error) {
    await cancelUpload(upload, deps);
    throw error;
  }
}
