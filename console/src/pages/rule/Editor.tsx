import { autocompletion, type CompletionContext, closeBrackets, completionKeymap } from '@codemirror/autocomplete';
import { defaultKeymap, history, historyKeymap } from '@codemirror/commands';
import { yaml } from '@codemirror/lang-yaml';
import { bracketMatching, HighlightStyle, indentOnInput, syntaxHighlighting } from '@codemirror/language';
import { type Diagnostic, linter, lintGutter, lintKeymap } from '@codemirror/lint';
import { unifiedMergeView } from '@codemirror/merge';
import { EditorState, type Extension, type Text } from '@codemirror/state';
import { drawSelection, EditorView, hoverTooltip, keymap, lineNumbers } from '@codemirror/view';
import { tags } from '@lezer/highlight';
import { useEffect, useLayoutEffect, useRef } from 'react';
import { api, bodyOf } from '../../api/client.ts';
import type { City } from '../../api/schema.ts';
import { styleNonce } from '../../theme.ts';
import { hintAt, optionsAt, placeIn, type Schema } from './complete.ts';

const LOOKS = HighlightStyle.define([
  { tag: [tags.propertyName, tags.definition(tags.propertyName)], color: 'var(--low)' },
  { tag: [tags.string, tags.special(tags.string)], color: 'var(--good)' },
  { tag: [tags.number, tags.bool, tags.null], color: 'var(--medium)' },
  { tag: tags.comment, color: 'var(--mantine-color-dimmed)' },
]);

/** What both views have: no style of theirs is outside the page's policy, and their colours are those of the page. */
const looks = (label: string): Extension => [
  EditorView.cspNonce.of(styleNonce()),
  EditorView.contentAttributes.of({ 'aria-label': label }),
  EditorView.lineWrapping,
  lineNumbers(),
  yaml(),
  syntaxHighlighting(LOOKS),
];

interface Props {
  readonly label: string;
  readonly value: string;
  readonly change: (text: string) => void;
  readonly schema: Schema | undefined;
  readonly city: City | undefined;
  readonly language: 'en' | 'zh';
}

/** The text of a rule: completed by its schema and the names of the city, checked by the server while one writes. */
export default function Editor({ label, value, change, schema, city, language }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const shown = useRef<EditorView | null>(null);
  const said = useRef({ change, schema, city, language });
  said.current = { change, schema, city, language };
  // biome-ignore lint/correctness/useExhaustiveDependencies: the text is the editor's; the effect below replaces it.
  useEffect(() => {
    const view = new EditorView({ parent: box.current!, doc: value, extensions: [looks(label), writing(said)] });
    shown.current = view;
    return () => {
      shown.current = null;
      view.destroy();
    };
  }, [label]);
  // Before the next key: later, the text would be an older one, and the key lost.
  useLayoutEffect(() => {
    const view = shown.current;
    if (view === null || view.state.doc.toString() === value) return;
    view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: value } });
  }, [value]);
  return <div ref={box} className="editor" />;
}

type Said = React.RefObject<Pick<Props, 'change' | 'schema' | 'city' | 'language'>>;

/** Tab leaves the field, as anywhere on the page (WCAG 2.1.2). */
function writing(said: Said): Extension {
  return [
    history(),
    drawSelection(),
    indentOnInput(),
    bracketMatching(),
    closeBrackets(),
    lintGutter(),
    autocompletion({ override: [(context) => complete(context, said)] }),
    linter(({ state }) => mistakesOf(state.doc), { delay: 400 }),
    hoverTooltip(({ state }, at) => hint(state.doc.toString(), at, said)),
    keymap.of([...completionKeymap, ...lintKeymap, ...historyKeymap, ...defaultKeymap]),
    EditorView.domEventHandlers({ beforeinput: replace }),
    EditorView.updateListener.of(({ docChanged, state }) => {
      if (docChanged) said.current.change(state.doc.toString());
    }),
  ];
}

/**
 * Replaces the selection where somebody types over it. Chromium would put the colours of the old text into a style
 * attribute of the new one, which the page's policy forbids.
 */
function replace({ inputType, data }: InputEvent, view: EditorView): boolean {
  const isOver = inputType === 'insertText' && data !== null && !view.state.selection.main.empty;
  // Brackets and quotes go around the selection.
  if (!isOver || /^["'[{(]$/.test(data)) return false;
  view.dispatch({ ...view.state.replaceSelection(data), userEvent: 'input.type', scrollIntoView: true });
  return true;
}

function complete({ state, pos, explicit }: CompletionContext, said: Said) {
  const { schema, city, language } = said.current;
  if (schema === undefined || city === undefined) return null;
  const place = placeIn(state.doc.toString(), pos);
  if (place.word === '' && place.isKey && !explicit) return null;
  const options = optionsAt(schema, city, language, place);
  return options.length === 0 ? null : { from: pos - place.word.length, options, validFor: /^[\w.-]*$/ };
}

function hint(text: string, at: number, { current: { schema } }: Said) {
  const end = /^[\w-]*/.exec(text.slice(at))![0].length + at;
  const place = placeIn(text, end);
  const found = schema === undefined ? null : hintAt(schema, place.isKey ? [...place.path, place.word] : place.path);
  if (found === null) return null;
  const create = () => {
    const dom = document.createElement('div');
    dom.textContent = found;
    return { dom };
  };
  return { pos: at, end, create };
}

/** What the server finds wrong with a text; nothing while it cannot be asked. */
async function mistakesOf(doc: Text): Promise<Diagnostic[]> {
  const text = doc.toString();
  if (text.trim() === '') return [];
  const found = await bodyOf(api.POST('/api/v1/rules/check', { body: { text } })).catch(() => null);
  const diagnostic = (severity: 'error' | 'warning') => (one: { line: number; column: number; message: string }) => {
    const line = doc.line(Math.min(Math.max(1, one.line), doc.lines));
    const from = Math.min(line.to, line.from + Math.max(0, one.column - 1));
    return { from, to: Math.max(from, line.to), severity, message: one.message };
  };
  return [...(found?.problems ?? []).map(diagnostic('error')), ...(found?.warnings ?? []).map(diagnostic('warning'))];
}

interface DifferenceProps {
  readonly label: string;
  readonly before: string;
  readonly after: string;
}

/** What changed between two texts: lines that went and lines that came. */
export function Difference({ label, before, after }: DifferenceProps) {
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const extensions = [
      looks(label),
      EditorState.readOnly.of(true),
      unifiedMergeView({ original: before, mergeControls: false, collapseUnchanged: { margin: 2, minSize: 6 } }),
    ];
    const view = new EditorView({ parent: box.current!, doc: after, extensions });
    return () => view.destroy();
  }, [label, before, after]);
  return <div ref={box} className="editor difference" />;
}
