/** The one place where bytes are kept. */
export const R2_LOCATION = 'r2';
