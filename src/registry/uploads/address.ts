import type { RepositoryName } from '../../model/names.ts';

/** Which upload a request is about. */
export interface UploadAddress {
  readonly name: RepositoryName;
  readonly uploadId: string;
}
