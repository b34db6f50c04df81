/** Paths of 24 × 24 pictures, drawn as lines. */
const PATHS = {
  now: 'M3 12h4l3-8 4 16 3-8h4',
  tickets:
    'M4 7a2 2 0 0 1 2-2h12a2 2 0 0 1 2 2v3a2 2 0 0 0 0 4v3a2 2 0 0 1-2 2H6a2 2 0 0 1-2-2v-3a2 2 0 0 0 0-4zM14 5v14',
  devices: 'M12 18v3M8 15a6 6 0 0 1 0-8M16 7a6 6 0 0 1 0 8M5 18a10 10 0 0 1 0-14M19 4a10 10 0 0 1 0 14M12 11v0',
  rules: 'M5 5h14M5 12h9M5 19h6M17 14l2 2 3-4',
  quarantine: 'M12 4l9 16H3zM12 10v4M12 17v0',
  silences: 'M6 9a6 6 0 0 1 9-5M18 9c0 4 2 5 2 7H9M10 20h4M3 3l18 18',
  oversight: 'M4 20V10M10 20V4M16 20v-7M21 20H3',
  notifications: 'M6 16V11a6 6 0 0 1 12 0v5l2 2H4zM10 21h4',
  webhooks: 'M9 8a3.5 3.5 0 1 1 5 3l3 5M12 8l-4 8M6 13a3.5 3.5 0 1 0 4 4h8',
  formats: 'M8 4c-3 0-2 3-2 5s-1 3-3 3c2 0 3 1 3 3s-1 5 2 5M16 4c3 0 2 3 2 5s1 3 3 3c-2 0-3 1-3 3s1 5-2 5',
  keys: 'M8 15a4 4 0 1 1 3.5-6H21v3h-2v3h-3v-3h-4.5A4 4 0 0 1 8 15z',
  people: 'M9 11a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7zM3 20a6 6 0 0 1 12 0M16 4a3.5 3.5 0 0 1 0 7M18 14a6 6 0 0 1 3 6',
  audit: 'M7 3h8l4 4v14H7zM15 3v4h4M10 12h6M10 16h6',
  system: 'M4 5h16v6H4zM4 13h16v6H4zM8 8v0M8 16v0',
  me: 'M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM5 20a7 7 0 0 1 14 0',
  out: 'M14 4H6v16h8M10 12h11M18 9l3 3-3 3',
  menu: 'M4 7h16M4 12h16M4 17h16',
  sun: 'M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 2v2M12 20v2M2 12h2M20 12h2M5 5l1 1M18 18l1 1M5 19l1-1M18 6l1-1',
  help: 'M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM9.5 9.5a2.5 2.5 0 1 1 3.5 2.3c-.6.3-1 .8-1 1.7M12 16.5v0',
  search: 'M10 16a6 6 0 1 0 0-12 6 6 0 0 0 0 12zM15 15l5 5',
} as const;
export type IconName = keyof typeof PATHS;

/** A picture beside words; it says nothing by itself. */
export function Icon({ name, size = 18 }: { readonly name: IconName; readonly size?: number }) {
  return (
    <svg
      width={size}
      height={size}
      viewBox="0 0 24 24"
      fill="none"
      stroke="currentColor"
      strokeWidth="1.7"
      strokeLinecap="round"
      strokeLinejoin="round"
      aria-hidden="true"
    >
      <path d={PATHS[name]} />
    </svg>
  );
}
