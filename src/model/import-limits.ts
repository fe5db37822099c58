import { UPLOAD_PART_BYTES } from './limits.ts';

/** The bounds and lifetimes of imports; the unit is in the name, the reason beside the number. */

/** What an import asks another registry for at a time: parts of an upload, so that no tail is left. */
export const IMPORT_CHUNK_BYTES = 8 * UPLOAD_PART_BYTES;
/** After so long a chunk ends with what came of it: a slow source makes small steps, not none. */
export const IMPORT_CHUNK_MS_MAX = 20_000;
/** For any other answer of the source, and for the head of a blob's. */
export const IMPORT_ANSWER_MS_MAX = 20_000;
/** Hops to the storage behind a registry; one is usual. */
export const IMPORT_REDIRECTS_MAX = 5;
/** A token has some 2 kB. */
export const IMPORT_TOKEN_ANSWER_BYTES_MAX = 262_144;
/** A password of the source, which may be a token, and a name. */
export const IMPORT_CREDENTIAL_LENGTH_MAX = 8192;
/** Manifests and blobs of one import; each is a row, and all are forgotten in one batch. */
export const IMPORT_ITEMS_MAX = 5000;
/** Imports of a repository that have not ended, each of which takes turns with all others. */
export const IMPORTS_OPEN_PER_REPOSITORY_MAX = 20;
/** The newest imports of a repository that are listed. */
export const IMPORTS_LISTED_MAX = 100;
/** What a run may use, of the 1000 statements of an invocation and the minute until the next. */
export const IMPORT_STATEMENTS_PER_RUN_MAX = 500;
export const IMPORT_RUN_MS_MAX = 40_000;
/** Hashing them takes some 8 s of CPU, of the 30 s that the platform gives a job. */
export const IMPORT_BYTES_PER_RUN_MAX = 1_073_741_824;
/** The first run goes on behind the answer, where the platform gives 30 s, a chunk included. */
export const IMPORT_FIRST_RUN_MS_MAX = 5000;
/** A run that died keeps its import so long; one that lives moves this on at each step. */
export const IMPORT_CLAIM_MS = 120_000;
/** After a failure of the source: 30 s, a minute, two, … and in all some two hours. */
export const IMPORT_BACK_OFF_MS = 30_000;
export const IMPORT_BACK_OFF_MS_MAX = 3_600_000;
export const IMPORT_ATTEMPTS_MAX = 8;
/** What was brought is held until then. An import that takes longer has failed. */
export const IMPORT_LIFETIME_MS_MAX = 172_800_000;
/** Who wants to know how an import went has a week. */
export const IMPORT_KEPT_MS = 604_800_000;
/** Each may have thousands of items. */
export const IMPORTS_FORGOTTEN_PER_RUN_MAX = 20;
