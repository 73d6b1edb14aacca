//
// This file is part of TEN Framework, an open source project.
// Licensed under the Apache License, Version 2.0.
// See the LICENSE file for more information.
//
/** The event log beside the room: what was said, and what happened. */
import { useLayoutEffect, useRef, type ReactNode } from "react";

import type { Line } from "../log";

const TIME = new Intl.DateTimeFormat(undefined, {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hourCycle: "h23",
});
// How far from its end a log may be and still follow.
const NEAR_PX = 48;

interface EventLogProps {
  lines: readonly Line[];
  /** Where one can write, below the lines. */
  children: ReactNode;
}

export function EventLog({ lines, children }: EventLogProps) {
  const list = useRef<HTMLDivElement>(null);
  const follows = useRef(true);
  useLayoutEffect(() => {
    const box = list.current;
    if (box && follows.current) box.scrollTop = box.scrollHeight;
  }, [lines]);
  return (
    <aside className="log" aria-labelledby="log-title">
      <h2 id="log-title">Transcript and events</h2>
      {/* A scrolling region must be reachable by keyboard. */}
      {/* eslint-disable jsx-a11y/no-noninteractive-tabindex */}
      <div
        ref={list}
        className="lines"
        role="log"
        aria-labelledby="log-title"
        tabIndex={0}
        data-testid="log"
        onScroll={({ currentTarget: box }) => {
          const below = box.scrollHeight - box.scrollTop - box.clientHeight;
          follows.current = below < NEAR_PX;
        }}
      >
        {lines.map((line) => (
          <LogLine key={line.open ? -line.id : line.id} line={line} />
        ))}
      </div>
      {/* eslint-enable jsx-a11y/no-noninteractive-tabindex */}
      {children}
    </aside>
  );
}

/** One line; read aloud when complete, not at every word that is added. */
function LogLine({ line }: { line: Line }) {
  return (
    <div
      className={`line ${line.kind}`}
      data-who={line.who}
      data-open={line.open}
      aria-hidden={line.open}
    >
      {line.who && <b>{line.who}</b>}
      <p dir="auto">{line.text}</p>
      <time dateTime={line.at.toISOString()}>{TIME.format(line.at)}</time>
    </div>
  );
}
