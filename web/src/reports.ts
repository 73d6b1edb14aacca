//
// This file is part of TEN Framework, an open source project.
// Licensed under the Apache License, Version 2.0.
// See the LICENSE file for more information.
//
/** The event stream's events, read with care: what they say, in our words. */
import type { Problem } from "./api";
import { appMessage, type AppMessage } from "./rooms/room";
import type { Over } from "./session";

export type Report =
  | { type: "ready"; ids: string[] }
  | { type: "over"; over: Over }
  | { type: "interaction"; message: AppMessage }
  | { type: "event"; eventType: string }
  | { type: "error"; problem: Problem; retrying: boolean };

/** What an event of the stream reports; null for what the page can spare. */
export function reportOf(name: string, data: unknown): Report | null {
  if (typeof data !== "object" || data === null) return null;
  const said = data as Record<string, unknown>;
  switch (name) {
    case "ready": {
      const ids = said.conversation_ids;
      return {
        type: "ready",
        ids: Array.isArray(ids) ? ids.map(text) : [],
      };
    }
    case "tavus_conversation_ended": {
      const ms = said.duration_ms;
      const over: Over = {
        id: text(said.conversation_id),
        reason: text(said.reason),
        durationMs: typeof ms === "number" ? ms : null,
      };
      return { type: "over", over };
    }
    case "tavus_interaction": {
      const message = appMessage(data);
      return message && { type: "interaction", message };
    }
    case "tavus_event":
      return { type: "event", eventType: text(said.event_type) };
    case "tavus_error": {
      const problem = { kind: text(said.kind), detail: text(said.detail) };
      const retrying = said.retrying === true;
      return { type: "error", problem, retrying };
    }
    default:
      return null;
  }
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}
