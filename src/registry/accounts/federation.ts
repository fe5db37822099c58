import type { AccountName } from '../../model/accounts.ts';
import { RegistryError } from '../../model/errors.ts';
import { matchesSubject, subjectPatternProblem, type TrustRule } from '../../model/federation.ts';
import { TRUST_RULES_PER_ROBOT_MAX } from '../../model/limits.ts';
import {
  deleteOtherTrustRulesStatement,
  insertTrustRulesStatement,
  robotStatement,
  trustedSubjectsStatement,
  trustRulesStatement,
} from '../../storage/d1/federation.ts';
import type { RegistryDeps } from '../deps.ts';
import { sendAgain } from '../send-again.ts';

/** Keeps whose tokens stand for a robot. */
export interface Federation {
  /** A robot's rules by issuer and subject; none if it has none, or is gone. */
  listTrustRules(robotId: number): Promise<readonly TrustRule[]>;
  /**
   * Gives a robot these rules in the place of those that it has, and gives them as they are now; an
   * empty list takes all away. Null: there is no such robot. A token that was given by a rule stays
   * good until it ends. Errors: InvalidTrustRule.
   */
  replaceTrustRules(
    robotId: number,
    rules: readonly TrustRule[],
  ): Promise<readonly TrustRule[] | null>;
  /**
   * The robot, if it may log in and trusts this issuer with this subject; null: it does not, or is
   * not there. One statement, which asks the stores as much for one as for the other.
   */
  findTrust(
    robotName: AccountName,
    token: { readonly issuer: string; readonly subject: string },
  ): Promise<{ readonly robotId: number } | null>;
}

export function createFederation({ database, settings }: RegistryDeps): Federation {
  return {
    async listTrustRules(robotId) {
      return database.primary.all(trustRulesStatement({ robotId }));
    },

    async replaceTrustRules(robotId, rules) {
      const { oidcIssuers } = settings;
      for (const rule of rules) {
        requireValid(rule, oidcIssuers);
      }
      if (rules.length > TRUST_RULES_PER_ROBOT_MAX) {
        throw invalid(`a robot has at most ${TRUST_RULES_PER_ROBOT_MAX} of them`);
      }
      const pairs = JSON.stringify(rules.map(({ issuer, subject }) => [issuer, subject]));
      const [robot, , , now] = await sendAgain(() =>
        database.primary.batch([
          robotStatement({ robotId }),
          deleteOtherTrustRulesStatement({ robotId, rules: pairs }),
          insertTrustRulesStatement({ robotId, rules: pairs }),
          trustRulesStatement({ robotId }),
        ]),
      );
      return robot.length === 0 ? null : now;
    },

    async findTrust(robotName, { issuer, subject }) {
      const trusted = await database.primary.all(trustedSubjectsStatement({ robotName, issuer }));
      const match = trusted.find((rule) => matchesSubject(rule.subject, subject));
      return match?.isEnabled === true ? { robotId: match.robotId } : null;
    },
  };
}

/** Errors: InvalidTrustRule. */
function requireValid({ issuer, subject }: TrustRule, issuers: readonly string[]): void {
  if (!issuers.includes(issuer)) {
    throw invalid(`this registry takes no tokens of the issuer '${issuer}'`);
  }
  const problem = subjectPatternProblem(subject);
  if (problem !== null) {
    throw invalid(problem);
  }
}

function invalid(reason: string): RegistryError {
  return new RegistryError('InvalidTrustRule', { reason });
}
