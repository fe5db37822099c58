import * as fc from 'fast-check';
import { describe, it } from 'vitest';

import { isPublicHost, outboundProblem } from '../../src/model/outbound-address.ts';

/** The host as `URL` has it, whatever form it was written in; null: it is none. */
function hostOf(text: string): string | null {
  return URL.parse(`https://${text}/`)?.hostname ?? null;
}

function publicOnes(texts: readonly string[]): readonly string[] {
  return texts.filter((text) => isPublicHost(hostOf(text) ?? ''));
}

describe('a host', () => {
  it('is public as a name with a dot, or an address that somebody has', ({ expect }) => {
    const hosts = [
      'registry.example.com',
      'xn--bcher-kva.example',
      'a.b.c.d.io',
      '8.8.8.8',
      '172.15.255.255',
      '172.32.0.0',
      '100.63.255.255',
      '100.128.0.0',
      '[2606:4700:4700::1111]',
      '[2001:200::1]',
    ];
    expect(publicOnes(hosts)).toEqual(hosts);
  });

  it('is not public where only a private network knows it', ({ expect }) => {
    const names = ['localhost', 'registry', 'registry.local', 'metadata.google.internal'];
    const more = [
      'a.localhost',
      'x.home.arpa',
      'db.corp',
      'nas.lan',
      'a..b',
      'example.com.',
      '_a.b',
    ];
    expect(publicOnes([...names, ...more])).toEqual([]);
  });

  it('is not public as a private address, whatever its form', ({ expect }) => {
    const addresses = [
      '127.0.0.1',
      '0.0.0.0',
      '10.1.2.3',
      '172.16.0.1',
      '172.31.255.255',
      '192.168.0.1',
      '169.254.169.254',
      '100.64.0.1',
      '192.0.0.1',
      '192.0.2.1',
      '198.18.0.1',
      '198.19.255.255',
      '198.51.100.1',
      '203.0.113.1',
      '224.0.0.1',
      '255.255.255.255',
      '192.88.99.1',
      '2130706433',
      '0x7f000001',
      '0x7f.1',
      '127.1',
      '0177.0.0.1',
      '0',
      '3232235521',
    ];
    expect(publicOnes(addresses)).toEqual([]);
  });

  it('is not public as an address that stands for a private one', ({ expect }) => {
    const addresses = [
      '[::]',
      '[::1]',
      '[::ffff:127.0.0.1]',
      '[::ffff:8.8.8.8]',
      '[::127.0.0.1]',
      '[fc00::1]',
      '[fd12:3456::1]',
      '[fe80::1]',
      '[fec0::1]',
      '[ff02::1]',
      '[64:ff9b::7f00:1]',
      '[64:ff9b:1::1]',
      '[2002:7f00:1::]',
      '[2001::1]',
      '[2001:1ff::1]',
      '[2001:db8::1]',
      '[3fff::1]',
      '[100::1]',
      '[4000::1]',
    ];
    expect(publicOnes(addresses)).toEqual([]);
  });

  it('as an IPv4 address is judged alike in all its forms', ({ expect }) => {
    const byte = fc.integer({ min: 0, max: 255 });
    fc.assert(
      fc.property(fc.tuple(byte, byte, byte, byte), ([a, b, c, d]) => {
        const number = ((a * 256 + b) * 256 + c) * 256 + d;
        const forms = [`${a}.${b}.${c}.${d}`, String(number), `0x${number.toString(16)}`];
        const judged = new Set(forms.map((form) => isPublicHost(hostOf(form) ?? '')));
        expect(judged.size).toBe(1);
        const isPrivate = a === 10 || a === 127 || a === 0 || (a === 192 && b === 168) || a >= 224;
        expect(isPrivate && judged.has(true)).toBe(false);
        expect(isPublicHost(hostOf(`[::ffff:${forms[0]}]`) ?? '')).toBe(false);
      }),
    );
  });

  it('as any text is judged without an error', ({ expect }) => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.domain(), fc.ipV6()), (text) => {
        expect(typeof isPublicHost(text)).toBe('boolean');
      }),
    );
  });
});

const problem = (text: string, allowPrivate = false) =>
  outboundProblem(new URL(text), { allowPrivate });

describe('a URL', () => {
  it('is asked by https, without credentials in it', ({ expect }) => {
    expect(problem('https://registry.example.com/v2/')).toBeNull();
    expect(problem('http://registry.example.com/')).toContain('only https');
    expect(problem('https://ada:secret@registry.example.com/')).toContain('credentials');
    expect(problem('https://ada:secret@registry.example.com/')).not.toContain('secret');
    expect(problem('https://10.0.0.1/')).toContain('public internet');
  });

  it('of a private host is asked where the operator allows it', ({ expect }) => {
    expect(problem('http://127.0.0.1:5000/', true)).toBeNull();
    expect(problem('file:///etc/passwd', true)).toContain('only https');
    expect(problem('https://a:b@127.0.0.1/', true)).toContain('credentials');
  });
});
