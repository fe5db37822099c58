declare const brand: unique symbol;

/** A `T` that only one parser can make, so that it cannot be mixed up with another `T`. */
export type Brand<T, Name extends string> = T & { readonly [brand]: Name };
