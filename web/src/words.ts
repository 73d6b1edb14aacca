//
// This file is part of TEN Framework, an open source project.
// Licensed under the Apache License, Version 2.0.
// See the LICENSE file for more information.
//
/** States, durations and reasons, in words. */
import type { State } from "./session";

const HAPPENED: Partial<Record<State["name"], string>> = {
  creating: "Asking for a conversation",
  joining: "Joining its room",
  waiting: "You are in the room",
  live: "The face has joined",
  away: "The face has gone",
  elsewhere: "The conversation goes on in another tab",
  ending: "Ending the conversation",
  ended: "The conversation is over",
};

const REASONS: Record<string, string> = {
  end_conversation: "You ended it.",
  failed: "Another could not be started in its place.",
  user_left: "You left, or your connection was lost, and it was ended for you.",
  stop: "The server was stopped.",
  elsewhere: "It has ended in the other tab.",
  avatar_absent: "The face did not come.",
  avatar_no_video: "The face came without a picture.",
  avatar_gone: "The connection to the face was lost.",
  avatar_stuck: "The face stopped listening to the server.",
  room_lost: "The server lost its connection to the room.",
  unknown: "Whether anybody was in the room could not be found out.",
  test_mode: "It was a test: over as soon as it began.",
  not_found: "Tavus no longer knows it.",
  tavus: "Tavus ended it.",
  error: "Tavus reports that it failed.",
  cancelled: "It was ended before anybody joined.",
  internal: "The server ended it because of a mistake of its own.",
  max_call_duration: "It reached the longest time a call may take.",
  participant_left_timeout: "Everybody had left the room.",
  participant_absent_timeout: "Nobody came into the room in time.",
  daily_room_has_been_deleted: "Its room was deleted.",
  exception_encountered_during_conversation_startup:
    "Tavus could not start the face.",
  bot_could_not_join_meeting_it_was_probably_ended:
    "The face could not join: the room had ended.",
  end_conversation_endpoint_hit: "It was ended through Tavus's API.",
};

/** What the log says when a state is reached; undefined for nothing. */
export function happened(
  name: State["name"],
  before: State["name"],
): string | undefined {
  return name === "live" && before === "away"
    ? "The face is back"
    : HAPPENED[name];
}

/** A reason of tavus_conversation_ended as a sentence. */
export function reasonInWords(reason: string): string {
  if (!reason) return "It is over.";
  // Tavus writes some with " reached" and some without.
  const key = reason.replace(/ reached$/, "");
  return Object.hasOwn(REASONS, key)
    ? (REASONS[key] ?? reason)
    : `Tavus ended it: ${reason}.`;
}

/** A length of time as "48 seconds" or "3 minutes 5 seconds". */
export function durationInWords(ms: number): string {
  if (ms < 1000) return "less than a second";
  const seconds = Math.round(ms / 1000);
  const [minutes, rest] = [Math.floor(seconds / 60), seconds % 60];
  const parts = [];
  if (minutes) parts.push(`${minutes} minute${minutes === 1 ? "" : "s"}`);
  if (rest || !minutes) parts.push(`${rest} second${rest === 1 ? "" : "s"}`);
  return parts.join(" ");
}

/** A length of time as 3:05. */
export function clock(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  const rest = String(seconds % 60).padStart(2, "0");
  return `${Math.floor(seconds / 60)}:${rest}`;
}
