import { type CSSVariablesResolver, createTheme, type MantineColorsTuple } from '@mantine/core';

/** The colour of a lamp's post: calm, and 4.5:1 on both grounds where it carries text. */
const TEAL: MantineColorsTuple = [
  '#e6f6f4',
  '#cfeae6',
  '#a3d6cf',
  '#73c0b7',
  '#4aada3',
  '#2c9b90',
  '#14857b',
  '#0c6e66',
  '#0a5a54',
  '#064742',
];

/** Greys of the dark scheme, as cool as its ground: fields, their edges and what is behind them. */
const DARK: MantineColorsTuple = [
  '#dde3e8',
  '#b9c2ca',
  '#9aa5af',
  '#6b7781',
  '#3a444c',
  '#2c343a',
  '#1d2327',
  '#191e22',
  '#14181b',
  '#0f1315',
];

const FONT =
  'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", sans-serif';

export const theme = createTheme({
  primaryColor: 'teal',
  primaryShade: { light: 7, dark: 7 },
  colors: { teal: TEAL, dark: DARK },
  fontFamily: FONT,
  fontFamilyMonospace: 'ui-monospace, "Cascadia Mono", Menlo, Consolas, monospace',
  headings: { fontFamily: FONT, fontWeight: '600' },
  defaultRadius: 'sm',
  cursorType: 'pointer',
  focusRing: 'auto',
  respectReducedMotion: true,
  components: {
    Button: { defaultProps: { size: 'xs' } },
    TextInput: { defaultProps: { size: 'xs' } },
    Textarea: { defaultProps: { size: 'xs' } },
    Select: { defaultProps: { size: 'xs' } },
    MultiSelect: { defaultProps: { size: 'xs' } },
    SegmentedControl: { defaultProps: { size: 'xs' } },
    // What scrolls is within the frame: to lock the body would only need a style of its own.
    Modal: { defaultProps: { lockScroll: false, centered: true, transitionProps: { duration: 0 } } },
  },
});

/** Text that is less important still has a contrast of 4.5:1 (WCAG 1.4.3), which Mantine's own grey has not. */
export const variables: CSSVariablesResolver = () => ({
  variables: {},
  light: {
    '--mantine-color-body': '#f6f7f8',
    '--mantine-color-text': '#1b2126',
    '--mantine-color-dimmed': '#56606a',
    '--mantine-color-placeholder': '#636d77',
    '--mantine-color-error': '#b42318',
    '--mantine-color-anchor': '#0c6e66',
  },
  dark: {
    '--mantine-color-body': '#121619',
    '--mantine-color-text': '#dde3e8',
    '--mantine-color-dimmed': '#9aa5af',
    '--mantine-color-placeholder': '#98a3ad',
    '--mantine-color-error': '#ff8a80',
    '--mantine-color-anchor': '#4cc4b8',
    '--mantine-color-default': '#1d2327',
    '--mantine-color-default-border': '#3a444c',
  },
});

/** Allows the styles that components make; the server drew it for this page. */
export const styleNonce = (): string =>
  document.querySelector<HTMLMetaElement>('meta[property=csp-nonce]')?.nonce ?? '';
