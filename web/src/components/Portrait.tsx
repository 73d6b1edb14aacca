//
// This file is part of TEN Framework, an open source project.
// Licensed under the Apache License, Version 2.0.
// See the LICENSE file for more information.
//
/** The drawn face of the start page, and the mark made from it. */

export function Mark() {
  return (
    <svg className="mark" viewBox="0 0 32 32" aria-hidden="true">
      <rect width="32" height="32" rx="9" />
      <circle cx="11.5" cy="13.5" r="2" />
      <circle cx="20.5" cy="13.5" r="2" />
      <path d="M10 19.5c1.6 2.4 3.7 3.6 6 3.6s4.4-1.2 6-3.6" />
    </svg>
  );
}

export function Portrait() {
  return (
    <svg className="portrait" viewBox="0 0 480 480" aria-hidden="true">
      <defs>
        <linearGradient id="wall" x1="0" y1="0" x2="1" y2="1">
          <stop className="wall-1" offset="0" />
          <stop className="wall-2" offset="1" />
        </linearGradient>
        <linearGradient id="skin" x1="0" y1="0" x2="0.6" y2="1">
          <stop className="skin-1" offset="0" />
          <stop className="skin-2" offset="1" />
        </linearGradient>
        <clipPath id="window">
          <rect width="480" height="480" rx="44" />
        </clipPath>
      </defs>
      <g clipPath="url(#window)">
        <rect width="480" height="480" fill="url(#wall)" />
        <circle className="halo" cx="240" cy="232" r="206" />
        <circle className="halo" cx="240" cy="232" r="166" />
        <path
          className="body"
          d="M66 480c8-92 78-132 174-132s166 40 174 132z"
        />
        <g className="breath">
          <path className="neck" d="M202 310h76v62c-20 22-56 22-76 0z" />
          <rect
            x="138"
            y="110"
            width="204"
            height="244"
            rx="100"
            fill="url(#skin)"
          />
          <path
            className="hair"
            d="M130 214c-8-92 44-136 112-136 72 0 116 46 108 134-12-44-40-66-72-72-46 26-116 22-148 74z"
          />
          <g className="eyes">
            <ellipse cx="200" cy="232" rx="11" ry="13" />
            <ellipse cx="280" cy="232" rx="11" ry="13" />
          </g>
          <path className="mouth" d="M204 288c10 14 22 20 36 20s26-6 36-20" />
        </g>
      </g>
    </svg>
  );
}
