/** The few pictures of the page, inline: no font, no request. */

const line = {
  width: 16,
  height: 16,
  viewBox: '0 0 16 16',
  fill: 'none',
  stroke: 'currentColor',
  'stroke-width': 1.5,
  'stroke-linecap': 'round',
  'stroke-linejoin': 'round',
  'aria-hidden': true,
} as const;

export const Mark = () => (
  <svg width="20" height="20" viewBox="0 0 20 20" aria-hidden="true">
    <rect x="1" y="2" width="18" height="3" rx="1" fill="#414487" />
    <rect x="1" y="6.3" width="18" height="3" rx="1" fill="#2a788e" />
    <rect x="1" y="10.6" width="18" height="3" rx="1" fill="#22a884" />
    <rect x="1" y="14.9" width="18" height="3" rx="1" fill="#fde725" />
    <path d="M2 12.5 7 7l3.5 3.5L18 3" fill="none" stroke="#fff" stroke-width="1.8" />
  </svg>
);

export const Search = () => (
  <svg {...line}>
    <circle cx="7" cy="7" r="4.5" />
    <path d="m10.5 10.5 3.5 3.5" />
  </svg>
);

export const Chevron = () => (
  <svg {...line} width={12} height={12}>
    <path d="m4 6 4 4 4-4" />
  </svg>
);

export const Columns = () => (
  <svg {...line}>
    <rect x="1.5" y="2.5" width="13" height="11" rx="1.5" />
    <path d="M8 2.5v11" />
  </svg>
);

/** Rows of different length behind a bar: what comes in, newest first. */
export const FeedIcon = () => (
  <svg {...line}>
    <path d="M2 3v10M5 4h9M5 8h6M5 12h8" />
  </svg>
);

export const Panes = () => (
  <svg {...line}>
    <rect x="1.5" y="2" width="13" height="12" rx="1.5" />
    <path d="M1.5 8.5h13M1.5 11.3h13" />
  </svg>
);

export const Keyboard = () => (
  <svg {...line}>
    <rect x="1.5" y="4" width="13" height="8.5" rx="1.5" />
    <path d="M4 6.8h.01M6.7 6.8h.01M9.3 6.8h.01M12 6.8h.01M5 10h6" />
  </svg>
);

export const Info = () => (
  <svg {...line}>
    <circle cx="8" cy="8" r="6.2" />
    <path d="M8 7.4v3.4M8 5.1h.01" />
  </svg>
);

export const Table = () => (
  <svg {...line}>
    <path d="M2 3.5h12M2 8h12M2 12.5h12M6 3.5v9" />
  </svg>
);

export const Sliders = () => (
  <svg {...line}>
    <path d="M2 4.5h6M12 4.5h2M2 11.5h2M8 11.5h6" />
    <circle cx="10" cy="4.5" r="1.8" />
    <circle cx="6" cy="11.5" r="1.8" />
  </svg>
);

export const Moon = () => (
  <svg {...line}>
    <path d="M13.5 9.5A6 6 0 0 1 6.5 2.5a6 6 0 1 0 7 7Z" />
  </svg>
);

export const Sun = () => (
  <svg {...line}>
    <circle cx="8" cy="8" r="3" />
    <path d="M8 1.5v1M8 13.5v1M1.5 8h1M13.5 8h1M3.4 3.4l.7.7M11.9 11.9l.7.7M3.4 12.6l.7-.7M11.9 4.1l.7-.7" />
  </svg>
);

export const System = () => (
  <svg {...line}>
    <circle cx="8" cy="8" r="6" />
    <path d="M8 2v12a6 6 0 0 0 0-12Z" fill="currentColor" />
  </svg>
);

export const Save = () => (
  <svg {...line}>
    <path d="M8 2v7.5M5 6.7 8 9.7l3-3M2.5 10.5v3h11v-3" />
  </svg>
);

export const Whole = () => (
  <svg {...line}>
    <path d="M2.5 6V2.5H6M10 2.5h3.5V6M13.5 10v3.5H10M6 13.5H2.5V10" />
  </svg>
);

export const Close = () => (
  <svg {...line}>
    <path d="m4 4 8 8M12 4l-8 8" />
  </svg>
);

export const Clock = () => (
  <svg {...line}>
    <path d="M2.6 5.2A6.2 6.2 0 1 1 1.8 8M2.2 2.4v3h3M8 4.6V8l2.4 1.6" />
  </svg>
);
