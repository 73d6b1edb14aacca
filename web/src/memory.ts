//
// This file is part of TEN Framework, an open source project.
// Licensed under the Apache License, Version 2.0.
// See the LICENSE file for more information.
//
/** What this tab knows of its call after a reload, and no longer. */
import type { Line } from "./log";

const KEY = "tavus_call";

export interface Kept {
  /** Of the conversation. */
  id: string;
  lines: readonly Line[];
}

export function keepCall(kept: Kept | null): void {
  try {
    if (kept) sessionStorage.setItem(KEY, JSON.stringify(kept));
    else sessionStorage.removeItem(KEY);
  } catch {
    // Forbidden by the browser's settings, or full: a reload forgets.
  }
}

/** What was kept; null for nothing, and for what is not ours. */
export function keptCall(): Kept | null {
  try {
    const text = sessionStorage.getItem(KEY) ?? "null";
    const { id, lines } = JSON.parse(text) as Record<string, unknown>;
    if (typeof id !== "string" || !Array.isArray(lines)) return null;
    return { id, lines: (lines as Line[]).map(revived).filter(isSound) };
  } catch {
    return null;
  }
}

function revived(line: Line): Line {
  return { ...line, open: false, at: new Date(line.at) };
}

function isSound({ text, at }: Line): boolean {
  return typeof text === "string" && !Number.isNaN(at.getTime());
}
