//
// This file is part of TEN Framework, an open source project.
// Licensed under the Apache License, Version 2.0.
// See the LICENSE file for more information.
//
/** The event log: what was said and what happened, as lines of text. */
import type { AppMessage } from "./rooms/room";

export interface Line {
  id: number;
  kind: "speech" | "event" | "problem";
  who: "You" | "Face" | "";
  text: string;
  /** Which utterance a speech line belongs to. */
  utterance: string;
  /** More of it is to come. */
  open: boolean;
  at: Date;
}

const MAX_LINES = 300;
const MAX_TEXT = 2000;

/** The lines and one more. */
export function addLine(
  lines: readonly Line[],
  line: Partial<Line> & { text: string },
): Line[] {
  const id = (lines.at(-1)?.id ?? 0) + 1;
  const text = line.text.slice(0, MAX_TEXT);
  const whole: Line = {
    kind: "event",
    who: "",
    utterance: "",
    open: false,
    at: new Date(),
    ...line,
    id,
    text,
  };
  return [...lines.slice(1 - MAX_LINES), whole];
}

/** The lines after a message of the room; the same ones where it says nothing. */
export function addMessage(
  lines: readonly Line[],
  message: AppMessage,
): readonly Line[] {
  const { event_type: type, properties = {} } = message;
  if (type === "conversation.utterance" || type === PARTIAL)
    return addSpeech(lines, message);
  if (type === "tavus_conversation_ended" && properties.replaced === true)
    return addLine(lines, { text: "Another face is sent in its place" });
  const event = EVENTS[type];
  if (event) return addLine(lines, { text: event });
  if (type === "livekit.playback_finished")
    // Of one who is not there, nobody knows whether it ever began.
    return properties.assumed === true
      ? lines
      : addLine(lines, {
          text:
            properties.interrupted === true
              ? "The face was interrupted"
              : "The face has finished",
        });
  if (type.endsWith("tool_call"))
    return addLine(lines, {
      text: `Tool call: ${textOf(properties.name)}(${textOf(properties.arguments)})`,
    });
  if (type === "conversation.perception_analysis")
    return addLine(lines, {
      text: `What the face saw: ${textOf(properties.analysis)}`,
    });
  return lines;
}

const EVENTS: Partial<Record<string, string>> = {
  tavus_conversation_created: "Tavus sends the face",
  "livekit.playback_started": "The face speaks",
};
const PARTIAL = "conversation.utterance.streaming";

function addSpeech(
  lines: readonly Line[],
  message: AppMessage,
): readonly Line[] {
  const { event_type: type, properties = {} } = message;
  const who = properties.role === "user" ? "You" : "Face";
  const text = textOf(properties.speech ?? properties.text).slice(0, MAX_TEXT);
  const id = textOf(message.inference_id ?? message.turn_idx);
  const utterance = `${who}:${id}`;
  const open = type === PARTIAL && properties.final !== true;
  const at = lines.findLastIndex(
    (line) => line.utterance === utterance && (line.open || id !== ""),
  );
  const known = lines[at];
  if (known) {
    // A late partial must not reopen what is complete.
    if (open && !known.open) return lines;
    return lines.with(at, { ...known, open, text: text || known.text });
  }
  if (!text) return lines;
  return addLine(lines, { kind: "speech", who, text, utterance, open });
}

function textOf(value: unknown): string {
  if (value === undefined || value === null) return "";
  return typeof value === "string" ? value : JSON.stringify(value);
}
