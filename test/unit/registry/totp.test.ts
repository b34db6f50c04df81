import { describe, expect, test } from 'vitest';
import { newTotpSecret, TOTP_SECRET, totpCode, totpStep, totpUri } from '../../../registry/totp.ts';

/** `12345678901234567890` in Base32, the secret of RFC 6238 Appendix B. */
const SECRET = 'GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ';

describe('RFC 6238, Appendix B (SHA-1)', () => {
  test.each([
    [59, '94287082'],
    [1_111_111_109, '07081804'],
    [1_111_111_111, '14050471'],
    [1_234_567_890, '89005924'],
    [2_000_000_000, '69279037'],
    [20_000_000_000, '65353130'],
  ])('totp - at %s s the code is %s', (seconds, code) => {
    expect(totpCode(SECRET, Math.floor(seconds / 30), 8)).toBe(code);
    expect(totpCode(SECRET, Math.floor(seconds / 30))).toBe(code.slice(2));
  });
});

test('totp - a code counts half a minute before and after its own', () => {
  const at = 1_111_111_111_000;
  const step = Math.floor(at / 30_000);
  for (const near of [-1, 0, 1]) expect(totpStep(SECRET, totpCode(SECRET, step + near), at)).toBe(step + near);
  for (const far of [-2, 2]) expect(totpStep(SECRET, totpCode(SECRET, step + far), at)).toBeNull();
});

test('totp - secrets are 160 random bits in Base32, and the address for apps is escaped', () => {
  const some = Array.from({ length: 50 }, newTotpSecret);
  for (const one of some) expect(one).toMatch(TOTP_SECRET);
  expect(new Set(some).size).toBe(50);
  expect(totpUri(SECRET, 'mei@city.example', 'Lamppost Port & Sea')).toBe(
    `otpauth://totp/Lamppost%20Port%20%26%20Sea:mei%40city.example?secret=${SECRET}&issuer=Lamppost%20Port%20%26%20Sea`,
  );
});
