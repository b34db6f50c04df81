import { expect, test } from 'vitest';
import { proxyHeaderOf, readProxyHeader } from '../../../broker/proxy-protocol.ts';

const SIGNATURE = Buffer.from('0d0a0d0a000d0a515549540a', 'hex');
const v2 = (command: number, family: number, addresses: Buffer, announced = addresses.length) =>
  Buffer.concat([SIGNATURE, Buffer.from([command, family, announced >> 8, announced & 255]), addresses]);
const IPV4 = Buffer.from([203, 0, 113, 7, 10, 0, 0, 9, 0xc0, 0x00, 0x07, 0x5b]);
const IPV6 = Buffer.concat([Buffer.from('20010db8000000010000000000000007', 'hex'), Buffer.alloc(16), Buffer.alloc(4)]);

test.each([
  ['PROXY TCP4 203.0.113.7 10.0.0.9 49152 1883\r\n', '203.0.113.7'],
  ['PROXY TCP6 2001:db8::7 2001:db8::9 49152 1883\r\n', '2001:db8::7'],
  [
    'PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n',
    'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff',
  ],
  ['PROXY UNKNOWN\r\n', null],
  ['PROXY UNKNOWN whatever the proxy says\r\n', null],
])('PROXY protocol - version 1: %j', (line, address) => {
  const bytes = Buffer.from(`${line}MQTT follows`);
  expect(readProxyHeader(bytes)).toEqual({ address, length: line.length });
});

test.each([
  'PROXY TCP4 203.0.113.7 10.0.0.9 49152\r\n',
  'PROXY TCP4 203.0.113.7 10.0.0.9 49152 1883 \r\n',
  'PROXY TCP4 203.0.113.7  10.0.0.9 49152 1883\r\n',
  'PROXY TCP4 203.0.113.7 10.0.0.9 65536 1883\r\n',
  'PROXY TCP4 203.0.113.7 10.0.0.9 01 1883\r\n',
  'PROXY TCP4 2001:db8::7 2001:db8::9 1 2\r\n',
  'PROXY TCP4 203.0.113.256 10.0.0.9 1 2\r\n',
  'PROXY TCP6 203.0.113.7 10.0.0.9 1 2\r\n',
  'PROXY tcp4 203.0.113.7 10.0.0.9 1 2\r\n',
  'PROXY \r\n',
])('PROXY protocol - version 1 is refused: %j', (line) => {
  expect(readProxyHeader(Buffer.from(line))).toBe('malformed-proxy-header');
});

test('PROXY protocol - a line of version 1 has 107 bytes at most, its end included', () => {
  const line = (length: number) => `PROXY UNKNOWN ${'x'.repeat(length - 16)}\r\n`;
  expect(readProxyHeader(Buffer.from(line(107)))).toEqual({ address: null, length: 107 });
  expect(readProxyHeader(Buffer.from(line(108)))).toBe('proxy-header-too-long');
  expect(readProxyHeader(Buffer.from(`PROXY ${'x'.repeat(100)}`))).toBeNull();
  expect(readProxyHeader(Buffer.from(`PROXY ${'x'.repeat(101)}`))).toBe('proxy-header-too-long');
});

test.each([
  ['IPv4', v2(0x21, 0x11, IPV4), '203.0.113.7'],
  ['IPv6', v2(0x21, 0x21, IPV6), '2001:db8:0:1:0:0:0:7'],
  ['IPv4 with TLVs', v2(0x21, 0x11, Buffer.concat([IPV4, Buffer.from([0x04, 0, 1, 0])])), '203.0.113.7'],
  ['a UNIX socket', v2(0x21, 0x31, Buffer.alloc(216)), null],
  ['an unspecified family', v2(0x21, 0x00, Buffer.alloc(0)), null],
  ['LOCAL, whatever the family', v2(0x20, 0x11, Buffer.alloc(0)), null],
])('PROXY protocol - version 2: %s', (_name, header, address) => {
  expect(readProxyHeader(Buffer.concat([header, Buffer.from('MQTT')]))).toEqual({ address, length: header.length });
});

test.each([
  ['another version', v2(0x11, 0x11, IPV4), 'malformed-proxy-header'],
  ['an unknown command', v2(0x22, 0x11, IPV4), 'malformed-proxy-header'],
  ['an unknown family', v2(0x21, 0x41, IPV4), 'malformed-proxy-header'],
  ['too few bytes for its addresses', v2(0x21, 0x21, IPV4), 'malformed-proxy-header'],
  ['more than 4096 bytes, which are not waited for', v2(0x21, 0x11, IPV4, 4_081), 'proxy-header-too-long'],
])('PROXY protocol - version 2 is refused: %s', (_name, header, why) => {
  expect(readProxyHeader(header)).toBe(why);
});

test('PROXY protocol - a header that comes byte by byte is waited for, and nothing is read past its end', () => {
  for (const header of [Buffer.from('PROXY TCP4 203.0.113.7 10.0.0.9 1 2\r\n'), v2(0x21, 0x11, IPV4)]) {
    for (let at = 0; at < header.length; at++) expect(readProxyHeader(header.subarray(0, at))).toBeNull();
    expect(readProxyHeader(header)).toEqual({ address: '203.0.113.7', length: header.length });
  }
});

test('PROXY protocol - other bytes are no header, from the first one that differs', () => {
  for (const bytes of ['\x10', 'PROXY\n', 'GET / HTTP/1.1', '\r\n\r\n\0\r\nX']) {
    expect(readProxyHeader(Buffer.from(bytes, 'latin1'))).toBe('no-proxy-header');
  }
});

test('PROXY protocol - what is written can be read; what is no address is unknown', () => {
  const read = (address: string) => readProxyHeader(Buffer.from(proxyHeaderOf(address)));
  for (const address of ['203.0.113.7', '2001:db8::7', '::ffff:203.0.113.7'])
    expect(read(address)).toMatchObject({ address });
  expect(read('fe80::1%eth0')).toMatchObject({ address: 'fe80::1' });
  for (const text of ['', 'localhost', '1.2.3.4 9.9.9.9 1 2\r\nPROXY'])
    expect(read(text)).toMatchObject({ address: null });
});
