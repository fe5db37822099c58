import { RegistryError } from '../../../../src/model/errors.ts';

export type ScopeKind = 'repository' | 'namespace';

export interface ModelPolicy {
  readonly scope: ScopeKind;
  readonly pattern: string;
  readonly matches: boolean;
}

/** The immutability policies in scope. */
export class ModelPolicies {
  #policies: readonly ModelPolicy[] = [];

  get all(): readonly ModelPolicy[] {
    return this.#policies;
  }

  /** Whether any of them locks a tag of this name. */
  lock(name: string): boolean {
    return this.#policies.some((policy) => locks(policy, name));
  }

  create(policy: ModelPolicy): void {
    this.#requireNew(policy);
    this.#policies = [...this.#policies, policy];
  }

  update(old: ModelPolicy, policy: ModelPolicy): void {
    this.#requireNew(policy, old);
    this.#policies = this.#policies.map((each) => (each === old ? policy : each));
  }

  delete(old: ModelPolicy): void {
    this.#policies = this.#policies.filter((each) => each !== old);
  }

  #requireNew({ scope, pattern }: ModelPolicy, old?: ModelPolicy): void {
    const others = this.#policies.filter((each) => each !== old);
    if (others.some((each) => each.scope === scope && each.pattern === pattern)) {
      throw new RegistryError('DuplicatePolicy', { tagPattern: pattern });
    }
  }
}

/** A pattern is for whole names. */
export function locks({ pattern, matches }: Omit<ModelPolicy, 'scope'>, name: string): boolean {
  return new RegExp(`^(?:${pattern})$`).test(name) === matches;
}
