import { isRegistryError, type RegistryErrorCode } from '../model/errors.ts';

/**
 * What the operation gives, or null where it refuses by one of these codes and its caller did not
 * ask for the error.
 */
export async function nullUnless<Result>(
  raiseOnError: boolean | undefined,
  expected: ReadonlySet<RegistryErrorCode>,
  run: () => Promise<Result>,
): Promise<Result | null> {
  try {
    return await run();
  } catch (error) {
    if (!raiseOnError && isRegistryError(error) && expected.has(error.code)) {
      return null;
    }
    throw error;
  }
}
