import { describe, it } from 'vitest';

import {
  effectiveLabel,
  EXPIRES_AFTER_LABEL,
  IMMUTABLE_LABEL,
  isImmutableLabelValue,
  labelMediaType,
  manifestLabels,
  parseExpiresAfter,
} from '../../src/image/labels.ts';
import { LABEL_VALUE_BYTES_MAX } from '../../src/model/limits.ts';
import { bodies, descriptor, parseImage, parseIndex } from './build.ts';

function configOf(labels: Record<string, string>) {
  return { labels, history: [], json: {} };
}

describe('manifestLabels', () => {
  it('scenario 40: skips the empty key, keeps odd ones, and tells JSON from text', async ({
    expect,
  }) => {
    const parsed = await parseImage('dockerManifest', bodies.dockerManifest());
    const labels = manifestLabels(
      parsed,
      configOf({
        '': 'skipped',
        'theoretically-invalid--label': 'kept',
        json: '{"some":"json"}',
        text: '[hello world]',
      }),
    );

    expect(labels).toEqual([
      { key: 'theoretically-invalid--label', value: 'kept', mediaType: 'text/plain' },
      { key: 'json', value: '{"some":"json"}', mediaType: 'application/json' },
      { key: 'text', value: '[hello world]', mediaType: 'text/plain' },
    ]);
  });

  it('overrides the labels of an OCI config by annotations, key by key', async ({ expect }) => {
    const parsed = await parseImage(
      'ociManifest',
      bodies.ociManifest({ annotations: { shared: 'annotation', own: 'annotation', n: 1 } }),
    );
    const labels = manifestLabels(
      parsed,
      configOf({ shared: 'config', other: 'config', n: 'kept' }),
    );

    expect(Object.fromEntries(labels.map(({ key, value }) => [key, value]))).toEqual({
      shared: 'annotation',
      other: 'config',
      n: 'kept',
      own: 'annotation',
    });
  });

  it('takes the annotations of an artifact, and nothing of a list', async ({ expect }) => {
    const annotations = { a: 'b' };
    const artifact = await parseImage(
      'ociManifest',
      bodies.ociManifest({ annotations, config: descriptor(1, { mediaType: 'a/b' }) }),
    );
    const index = await parseIndex('ociIndex', bodies.ociIndex({ annotations }));

    expect(manifestLabels(artifact, null)).toEqual([
      { key: 'a', value: 'b', mediaType: 'text/plain' },
    ]);
    expect(manifestLabels(index, null)).toEqual([]);
  });

  it('skips values that have more bytes than a label may, not letters', async ({ expect }) => {
    const parsed = await parseImage('dockerManifest', bodies.dockerManifest());
    const full = 'ä'.repeat(LABEL_VALUE_BYTES_MAX / 2);
    const labels = manifestLabels(parsed, configOf({ full, over: `${full}.` }));

    expect(labels.map(({ key }) => key)).toEqual(['full']);
  });
});

describe('labelMediaType', () => {
  it.for(['{}', '[]', '{"some":"json"}', '[1, 2]', '{ }', '[{"a":[]}]'])(
    'calls %j JSON',
    (value, { expect }) => {
      expect(labelMediaType(value)).toBe('application/json');
    },
  );

  it.for(['', '{wassup?!}', '[hello world]', ' {}', '{} ', '{', '{]', '"text"', '1', 'true', '[}'])(
    'calls %j text',
    (value, { expect }) => {
      expect(labelMediaType(value)).toBe('text/plain');
    },
  );
});

describe('parseExpiresAfter', () => {
  it.for([
    ['1s', 1],
    ['90m', 5400],
    ['2h', 7200],
    ['3d', 259_200],
    ['2w', 1_209_600],
    ['1y', 31_536_000],
    ['007d', 604_800],
    ['999999999s', 999_999_999],
    ['285616y', 285_616 * 31_536_000],
  ] as const)('reads %s as %d seconds', ([value, seconds], { expect }) => {
    expect(parseExpiresAfter(value)).toBe(seconds);
  });

  it.for([
    '',
    '0s',
    '000y',
    '1g',
    'something',
    '2H',
    '-1h',
    '+1h',
    '1.5h',
    ' 1h',
    '1h ',
    '1 h',
    '1h\n',
    'h',
    '12',
    '1hh',
    '1h2m',
    '1234567890s',
    '999999999y',
    '285617y',
    '١h',
  ])('ignores %j', (value, { expect }) => {
    expect(parseExpiresAfter(value)).toBeNull();
  });
});

describe('isImmutableLabelValue', () => {
  it.for(['true', 'TRUE', ' true ', '\tTrue\n'])(
    'scenario 52: locks for %j',
    (value, { expect }) => {
      expect(isImmutableLabelValue(value)).toBe(true);
    },
  );

  it.for(['false', '0', 'no', 'yes', '', ' ', '1', 'truetrue', 't rue'])(
    'scenario 52: does not lock for %j',
    (value, { expect }) => {
      expect(isImmutableLabelValue(value)).toBe(false);
    },
  );
});

describe('effectiveLabel', () => {
  it.for([
    ["is the manifest's own", '1d', ['1w', '1w'], '1d'],
    ['is its own even if that has no effect', '', ['1w'], ''],
    ['is null without own and children', null, [], null],
    ['is the one of an only child', null, ['1w'], '1w'],
    ['is the one that all children share', null, ['1w', '1w', '1w'], '1w'],
    ['is null if a child lacks it', null, ['1w', null], null],
    ['is null if the first child lacks it', null, [null, '1w'], null],
    ['is null if all children lack it', null, [null, null], null],
    ['is null if two children differ in text', null, ['1w', '7d'], null],
    ['is null if two children differ in case', null, ['1w', '1W'], null],
  ] as const)('of the expiry %s', ([, own, children, expected], { expect }) => {
    expect(effectiveLabel(own, children, EXPIRES_AFTER_LABEL)).toBe(expected);
  });

  it.for([
    ["is the manifest's own", 'false', ['true'], false],
    ['is true for its own in any case', ' True', [], true],
    ['is true if all children say so in any case', null, ['true', ' TRUE '], true],
    ['is false if a child says no', null, ['true', 'false'], false],
    ['is false if a child lacks it', null, ['true', null], false],
    ['is false if all children say no', null, ['no', 'NO'], false],
  ] as const)('of immutability %s', ([, own, children, expected], { expect }) => {
    const value = effectiveLabel(own, children, IMMUTABLE_LABEL);

    expect(value !== null && isImmutableLabelValue(value)).toBe(expected);
  });
});
