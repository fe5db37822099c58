import type { Tag } from '../../../../src/model/datatypes.ts';
import type { PolicyScope } from '../../../../src/model/references.ts';
import { instantOf, SKEW_MS } from './answers.ts';
import * as changes from './changes.ts';
import { imageAt } from './generation.ts';
import * as lifetimes from './lifetimes.ts';
import { ofModel, ofRegistry, type Outcome, outcomeOf } from './outcome.ts';
import type { ModelPolicy } from './policies.ts';
import type { ChosenEnd, NameKey, Sight, Step } from './steps.ts';
import { configure, manifestOf, nameOf, nthOf, type World } from './world.ts';

/** What a step came to in both worlds, and the world after it. */
export interface Taken {
  readonly expected: Outcome;
  readonly answered: Outcome;
  readonly world: World;
}

type Kind<Name extends Step['kind']> = Extract<Step, { kind: Name }>;

/** Takes a step in both worlds. */
export async function take(step: Step, world: World): Promise<Taken> {
  switch (step.kind) {
    case 'advance':
      world.stage.clock.advance(step.ms);
      return nothing(world);
    case 'go':
      return go(step, world);
    case 'configure':
      return nothing(configure(world, step.settings));
    case 'look':
      return look(step, world);
    case 'push':
    case 'push illegal':
    case 'keep':
    case 'move':
    case 'require':
      return takeBeginning(step, world);
    case 'delete tag':
    case 'delete image':
    case 'remove':
    case 'sweep':
      return takeEnding(step, world);
    case 'change end':
    case 'change lock':
    case 'change ends':
    case 'change locks':
      return takeChange(step, world);
    case 'create policy':
    case 'update policy':
    case 'delete policy':
      return takePolicy(step, world);
  }
}

function nothing(world: World): Taken {
  return { expected: { value: null }, answered: { value: null }, world };
}

/** The same in both worlds; the model first, for what it is asked depends on what it has. */
async function both(
  world: World,
  { expect, act }: { expect: () => unknown; act: () => unknown },
): Promise<Taken> {
  const expected = await outcomeOf(expect, ofModel);
  const answered = await outcomeOf(act, (value) => ofRegistry(value, world));
  return { expected, answered, world };
}

/** To an instant of one of the rows, if that is not too far back for clocks that differ. */
function go(step: Kind<'go'>, world: World): Taken {
  const { clock } = world.stage;
  const instantMs = instantOf(step, world.state);
  if (instantMs !== null && instantMs >= clock.nowMs() - SKEW_MS) {
    clock.set(instantMs);
  }
  return nothing(world);
}

async function look({ nameKey }: Kind<'look'>, world: World): Promise<Taken> {
  const { stage, registry, seen } = world;
  const tag = await registry.registry.getRepoTag(stage.repository, nameOf(nameKey, world));
  if (tag !== null) {
    seen.set(nameKey, tag);
  }
  return nothing(world);
}

async function takeBeginning(
  step: Kind<'push' | 'push illegal' | 'keep' | 'move' | 'require'>,
  world: World,
): Promise<Taken> {
  const { state, registry, stage } = world;
  const { repository } = stage;
  const { image } = step;
  const { parsed, digest } = imageAt(world.images, image);
  const interfaceOf = registry.registry;
  const loud = { raiseOnError: true };
  switch (step.kind) {
    case 'push':
    case 'push illegal': {
      const name = step.kind === 'push' ? nameOf(step.nameKey, world) : '.illegal';
      return both(world, {
        expect: () => lifetimes.push(state, name, image),
        act: () => interfaceOf.createManifestAndRetargetTag(repository, parsed, name, loud),
      });
    }
    case 'keep':
      return both(world, {
        expect: () => lifetimes.keep(state, image, step.sec),
        act: () => interfaceOf.createManifestWithTempTag(repository, parsed, step.sec, loud),
      });
    case 'move': {
      const name = nameOf(step.nameKey, world);
      const manifest = await manifestOf(image, world);
      const { reversion } = step;
      return both(world, {
        expect: () => lifetimes.move(state, name, { image, reversion }),
        act: () => interfaceOf.retargetTag(repository, name, manifest, { isReversion: reversion }),
      });
    }
    case 'require':
      return both(world, {
        expect: () => lifetimes.requireAvailable(state, image, step.reach),
        act: () =>
          interfaceOf.lookupManifestByDigest(repository, digest, {
            allowDead: step.reach === 'stored',
            allowHidden: step.reach === 'hidden',
            requireAvailable: true,
          }),
      });
  }
}

async function takeEnding(
  step: Kind<'delete tag' | 'delete image' | 'remove' | 'sweep'>,
  world: World,
): Promise<Taken> {
  const { state, registry, stage } = world;
  const { repository } = stage;
  switch (step.kind) {
    case 'delete tag': {
      const name = nameOf(step.nameKey, world);
      return both(world, {
        expect: () => lifetimes.deleteTag(state, name),
        act: () => registry.registry.deleteTag(repository, name),
      });
    }
    case 'delete image': {
      const manifest = await manifestOf(step.image, world);
      return both(world, {
        expect: () => lifetimes.deleteImage(state, step.image),
        act: () => registry.registry.deleteTagsForManifest(manifest),
      });
    }
    case 'remove': {
      const name = nameOf(step.nameKey, world);
      const generations = state.rows.filter((row) => row.name === name);
      const image = nthOf(generations, step.nth)?.image ?? 0;
      const manifest = await manifestOf(image, world);
      return both(world, {
        expect: () => lifetimes.remove(state, { name, image }, step),
        act: () => registry.registry.removeTagFromTimemachine(repository, name, manifest, step),
      });
    }
    case 'sweep':
      return both(world, {
        expect: () => lifetimes.sweep(state),
        act: () => registry.housekeeping.sweepEndedTags(),
      });
  }
}

async function takeChange(
  step: Kind<'change end' | 'change lock' | 'change ends' | 'change locks'>,
  world: World,
): Promise<Taken> {
  const { state, registry } = world;
  switch (step.kind) {
    case 'change end': {
      const sight = await sighted(step, world);
      const chosenMs = sight && chosenEndMs(step.end, { sight, world });
      const date = chosenMs === null ? null : new Date(chosenMs);
      return sight === null
        ? nothing(world)
        : both(world, {
            expect: () => changes.changeEnd(state, sight.row, chosenMs),
            act: () => registry.registry.changeRepositoryTagExpiration(sight.tag, date),
          });
    }
    case 'change lock': {
      const sight = await sighted(step, world);
      return sight === null
        ? nothing(world)
        : both(world, {
            expect: () => changes.changeLock(state, sight.row, step.immutable),
            act: () => registry.registry.changeTagImmutability(sight.tag, step.immutable),
          });
    }
    case 'change ends': {
      const manifest = await manifestOf(step.image, world);
      return both(world, {
        expect: () => changes.changeEnds(state, step.image, step.sec),
        act: () => registry.registry.setTagsExpirationForManifest(manifest, step.sec),
      });
    }
    case 'change locks': {
      const manifest = await manifestOf(step.image, world);
      const { immutable } = step;
      return both(world, {
        expect: () => changes.changeLocks(state, step.image, immutable),
        act: () => registry.operations.setTagsImmutabilityForManifest(manifest, immutable),
      });
    }
  }
}

/** A tag as a caller has it, and its row. */
interface Sighted {
  readonly tag: Tag;
  readonly row: number;
}

async function sighted(
  { nameKey, sight }: { readonly nameKey: NameKey; readonly sight: Sight },
  { stage, registry, seen, idsBefore, ...world }: World,
): Promise<Sighted | null> {
  const name = nameOf(nameKey, world);
  const tag =
    sight === 'before'
      ? seen.get(nameKey)
      : await registry.registry.getRepoTag(stage.repository, name);
  return tag ? { tag, row: tag.id - idsBefore - 1 } : null;
}

function chosenEndMs(
  end: ChosenEnd,
  { sight, world }: { sight: Sighted; world: World },
): number | null {
  const from = { start: sight.tag.lifetimeStartMs, now: world.state.nowMs };
  return end === null ? null : from[end.from] + end.ms;
}

async function takePolicy(
  step: Kind<'create policy' | 'update policy' | 'delete policy'>,
  world: World,
): Promise<Taken> {
  const { state, registry, stage, policies } = world;
  const { operations } = registry;
  const scopeOf = ({ scope }: Pick<ModelPolicy, 'scope'>): PolicyScope => ({
    kind: scope,
    id: scope === 'repository' ? stage.repository.id : stage.repository.namespaceId,
  });
  if (step.kind === 'create policy') {
    const { scope, pattern, matches } = step;
    const policy = { scope, pattern, matches };
    return both(world, {
      expect: () => changes.createPolicy(state, policy),
      act: async () => {
        const made = await operations.createImmutabilityPolicy(scopeOf(policy), contentOf(policy));
        if (made !== null) {
          policies.set(policy, made.policy);
        }
        return made?.lockedTags;
      },
    });
  }
  const old = nthOf(state.policies.all, step.nth);
  const uuid = old && policies.get(old)?.uuid;
  if (old === null || !uuid) {
    return nothing(world);
  }
  if (step.kind === 'delete policy') {
    return both(world, {
      expect: () => changes.deletePolicy(state, old),
      act: async () => {
        await operations.deleteImmutabilityPolicy(scopeOf(old), uuid);
      },
    });
  }
  const policy = { scope: old.scope, pattern: step.pattern, matches: step.matches };
  return both(world, {
    expect: () => changes.updatePolicy(state, old, policy),
    act: async () => {
      const made = await operations.updateImmutabilityPolicy(scopeOf(old), uuid, contentOf(policy));
      policies.set(policy, made.policy);
      return made.lockedTags;
    },
  });
}

function contentOf({ pattern, matches }: ModelPolicy) {
  return { tagPattern: pattern, tagPatternMatches: matches };
}
