/** Returns the text of a rule with another condition: its `when` is replaced, or added where it has none. */
export function withCondition(text: string, when: string): string {
  const own = /^when:.*\n?(?:(?:[ \t]+.*|[ \t]*)\n|[ \t]+.*$)*/m;
  const line = `when: ${when}\n`;
  return own.test(text) ? text.replace(own, () => line) : `${text.trimEnd()}\n${line}`;
}
