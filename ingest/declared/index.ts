import { namedBy, patternOf, resolveParts, type TopicParts, TopicPatterns } from '../../city-model/index.ts';
import type { City, DeclaredFormat } from '../../domain/index.ts';
import { type DeclaredFormats, type Format, NO_FORMATS } from '../decode/format.ts';
import { DeclaredDecoder } from './decoder.ts';
import { HomeAssistantDecoder } from './home-assistant.ts';

/** Topics whose own decoders are kept. */
const MOST_TOPICS = 1_000;

/** Compiles the declared formats of a city. */
export function compileFormats({ formats, timezone }: Pick<City, 'formats' | 'timezone'>): DeclaredFormats {
  if (formats.size === 0) return NO_FORMATS;
  const decoders = new Map([...formats.values()].map((one) => [one.id, new DeclaredDecoder(one, timezone)]));
  const patterns = new TopicPatterns(
    [...formats.values()].flatMap((format) =>
      format.topics.map((topic) => patternOf(topic, { format, device: namedBy(topic, format.device) })),
    ),
  );

  const byTopic = new Map<string, Format>();

  /** Where names of values have parts of the topic, or its messages announce others, each topic has its own decoder. */
  function decoderOf(format: DeclaredFormat, parts: TopicParts, topic: string): Format {
    const isDiscovery = format.content === 'home-assistant';
    if (!isDiscovery && !Object.keys(format.values).some((name) => name.includes('{'))) return decoders.get(format.id)!;
    const known = byTopic.get(topic);
    if (known !== undefined) return known;
    if (byTopic.size >= MOST_TOPICS) byTopic.clear();
    const decoder = isDiscovery
      ? new HomeAssistantDecoder(format.id, topic, (state) => deviceIn(format, state))
      : new DeclaredDecoder(format, timezone, parts);
    byTopic.set(topic, decoder);
    return decoder;
  }

  /** The device that a topic of this format names: null where it names none, undefined where it is another's topic. */
  function deviceIn(format: DeclaredFormat, topic: string): string | null | undefined {
    const found = patterns.match(topic);
    return found?.of.format !== format ? undefined : resolveParts(found.of.device, found.parts) || null;
  }

  return {
    named: (id) => decoders.get(id) ?? null,
    match(topic) {
      const found = patterns.match(topic);
      if (found === null) return null;
      const { of, parts } = found;
      const device = resolveParts(of.device, parts);
      return { format: decoderOf(of.format, parts, topic), device: device === '' ? null : device };
    },
  };
}
