import * as fc from 'fast-check';
import { describe, it } from 'vitest';

import {
  isReservedName,
  parseAccountName,
  robotName,
  robotShortName,
} from '../../src/model/accounts.ts';
import { type NamespaceName, parseNamespaceName } from '../../src/model/names.ts';

const namespaceName = fc.stringMatching(/^[a-z0-9]{2,6}((\.|_|__|-{1,3})[a-z0-9]{1,5}){0,2}$/);
const shortName = fc.stringMatching(/^[a-z0-9]{2,6}([._-][a-z0-9]{1,5}){0,2}$/);

describe('parseAccountName', () => {
  it('takes a namespace for a person, and one with a short name for a robot', ({ expect }) => {
    fc.assert(
      fc.property(namespaceName, shortName, (namespace, short) => {
        expect(parseAccountName(namespace)).toBe(namespace);
        const robot = parseAccountName(`${namespace}+${short}`);
        expect(robot).toBe(`${namespace}+${short}`);
        expect(robot).toBe(robotName(namespace as NamespaceName, short));
        expect(robot === null ? null : robotShortName(robot)).toBe(short);
        expect(parseAccountName(`${namespace}+${short}+${short}`)).toBeNull();
        expect(parseAccountName(`${namespace}/${short}`)).toBeNull();
      }),
    );
  });

  it('gives what it takes as it is, and takes no name but of these two forms', ({ expect }) => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[aA0._+ /-]{1,8}$/)), (text) => {
        const name = parseAccountName(text);
        const [namespace = '', short, ...more] = text.split('+');
        const isLegal =
          parseNamespaceName(namespace) !== null &&
          more.length === 0 &&
          (short === undefined
            ? text.length >= 2
            : short.length >= 2 && /^[a-z0-9]+([._-][a-z0-9]+)*$/.test(short));
        expect(name).toBe(isLegal ? text : null);
      }),
    );
  });

  it.for([
    ['a', null],
    ['ab', 'ab'],
    ['a+ci', 'a+ci'],
    ['acme+c', null],
    ['acme+', null],
    ['+ci', null],
    ['', null],
    ['$app', null],
    ['(anonymous)', null],
    ['Ada', null],
    ['ada\n', null],
    ['acme+ci\n', null],
    ['acme+c__i', null],
    ['x'.repeat(254), 'x'.repeat(254)],
    ['x'.repeat(255), null],
    [`acme+${'x'.repeat(255)}`, `acme+${'x'.repeat(255)}`],
    [`acme+${'x'.repeat(256)}`, null],
  ] as const)('of %j is %j', ([text, name], { expect }) => {
    expect(parseAccountName(text)).toBe(name);
  });

  it('keeps two names from people', ({ expect }) => {
    expect(['admin', 'library', 'ada', 'admin2'].map(isReservedName)).toEqual([
      true,
      true,
      false,
      false,
    ]);
  });
});
