import { RegistryError, type RegistryErrorDetails } from '../../model/errors.ts';

/**
 * Refuses a text that is too short or too long, counted as the database counts: in characters.
 * Errors: FieldInvalid.
 */
export function requireText(
  field: RegistryErrorDetails['FieldInvalid']['field'],
  text: string,
  { min = 0, max }: { readonly min?: number; readonly max: number },
): void {
  const { length } = Array.from(text);
  if (length < min || length > max) {
    throw new RegistryError('FieldInvalid', {
      field,
      reason: `it has ${min} to ${max} characters, not ${length}`,
    });
  }
}
