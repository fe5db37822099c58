import { RegistryError } from '../../model/errors.ts';
import { UPLOAD_CLAIM_EXTEND_MS, UPLOAD_CLAIM_MS } from '../../model/limits.ts';
import { formatRepositoryName } from '../../model/names.ts';
import { REPOSITORY_STATES } from '../../model/references.ts';
import { repositoryByNameStatement } from '../../storage/d1/repositories.ts';
import {
  extendClaimStatement,
  lapseClaimStatement,
  releaseClaimStatement,
} from '../../storage/d1/uploads.ts';
import type { RegistryDeps } from '../deps.ts';
import { sendAgain } from '../send-again.ts';
import type { UploadAddress } from './address.ts';

/** What {@link UploadClaim} needs of the world. */
type ClaimDeps = Pick<RegistryDeps, 'database' | 'clock'>;

/**
 * The right of one writer to append to an upload or to commit it. It lapses by itself, so that a
 * client which lost its connection can go on soon; a writer whose bytes still flow extends it, and
 * one that cannot stops before it touches R2 again.
 */
export class UploadClaim {
  readonly uploadId: string;
  readonly token: string;
  /** When the claim lapses, as its row has it. */
  readonly untilMs: number;
  readonly #deps: ClaimDeps;
  #extendAtMs: number;

  constructor({ uploadId, token }: { uploadId: string; token: string }, deps: ClaimDeps) {
    const nowMs = deps.clock.nowMs();
    this.uploadId = uploadId;
    this.token = token;
    this.untilMs = nowMs + UPLOAD_CLAIM_MS;
    this.#extendAtMs = nowMs + UPLOAD_CLAIM_EXTEND_MS;
    this.#deps = deps;
  }

  /** The parameters that name the upload under this claim. */
  get held(): { uploadId: string; claimToken: string } {
    return { uploadId: this.uploadId, claimToken: this.token };
  }

  /**
   * To be called before every write to R2, and while bytes come in: extends the claim when it is
   * time. Errors: UploadConflict once another writer has the upload.
   */
  async keep(): Promise<void> {
    const nowMs = this.#deps.clock.nowMs();
    if (nowMs < this.#extendAtMs) {
      return;
    }
    const claimUntilMs = nowMs + UPLOAD_CLAIM_MS;
    const extended = await sendAgain(() =>
      this.#deps.database.primary.first(
        extendClaimStatement({ ...this.held, claimUntilMs, nowMs }),
      ),
    );
    if (extended === null) {
      throw new RegistryError('UploadConflict', { uploadId: this.uploadId });
    }
    this.#extendAtMs = nowMs + UPLOAD_CLAIM_EXTEND_MS;
  }

  /**
   * Keeps the claim while one long call to R2 is under way. The signal fires when the claim is
   * lost: what is in flight must be given up then.
   */
  async during<Result>(work: (lost: AbortSignal) => Promise<Result>): Promise<Result> {
    await this.keep();
    const lost = new AbortController();
    const timer = setInterval(() => {
      this.keep().catch((error: unknown) => {
        lost.abort(error);
      });
    }, UPLOAD_CLAIM_EXTEND_MS);
    try {
      return await work(lost.signal);
    } finally {
      clearInterval(timer);
    }
  }
}

/**
 * Why an upload that is there could not be claimed. Errors: RepositoryReadOnly; else UploadConflict,
 * since another writer holds it.
 */
export async function refuseClaim(
  { name, uploadId }: UploadAddress,
  { database }: ClaimDeps,
): Promise<never> {
  const repository = await database.primary.first(repositoryByNameStatement({ ...name }));
  if (repository !== null && repository.state !== REPOSITORY_STATES.normal) {
    throw new RegistryError('RepositoryReadOnly', { name: formatRepositoryName(name) });
  }
  throw new RegistryError('UploadConflict', { uploadId });
}

/** Gives a chunk's claim up after a failure, so that a retry need not wait until it lapses. */
export async function releaseClaim(
  claim: UploadClaim,
  { database, clock }: ClaimDeps,
): Promise<void> {
  const release = releaseClaimStatement({ ...claim.held, nowMs: clock.nowMs() });
  await sendAgain(() => database.primary.all(release));
}

/** Gives a failed commit's claim up. Only another commit, or a cancellation, may follow it. */
export async function lapseClaim(
  claim: UploadClaim,
  { database, clock }: ClaimDeps,
): Promise<void> {
  const lapse = lapseClaimStatement({ ...claim.held, nowMs: clock.nowMs() });
  await sendAgain(() => database.primary.all(lapse));
}
