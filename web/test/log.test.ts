//
// This file is part of TEN Framework, an open source project.
// Licensed under the Apache License, Version 2.0.
// See the LICENSE file for more information.
//
/** Tests of log.ts: which lines messages become. */
import { expect, it } from "vitest";

import { addLine, addMessage, type Line } from "../src/log";
import type { AppMessage } from "../src/rooms/room";

const utterance = (
  role: string,
  speech: string,
  inference_id?: string,
): AppMessage => ({
  event_type: "conversation.utterance",
  inference_id,
  properties: { role, speech },
});
const streaming = (
  speech: string,
  inference_id?: string,
  final = false,
): AppMessage => ({
  event_type: "conversation.utterance.streaming",
  inference_id,
  properties: { role: "replica", speech, final },
});

function linesOf(...messages: AppMessage[]): readonly Line[] {
  return messages.reduce<readonly Line[]>(addMessage, []);
}
const texts = (lines: readonly Line[]) =>
  lines.map(({ who, text }) => [who, text]);

it("names the face in both of Tavus's words, and the user", () => {
  const lines = linesOf(
    utterance("replica", "a"),
    utterance("pal", "b"),
    utterance("user", "c"),
  );
  expect(texts(lines)).toEqual([
    ["Face", "a"],
    ["Face", "b"],
    ["You", "c"],
  ]);
});

it.each([
  ["with an id", "i1"],
  ["without one", undefined],
])("updates a partial in place, %s", (_what, id) => {
  const lines = linesOf(
    streaming("Hel", id),
    streaming("Hello", id),
    utterance("replica", "Hello.", id),
  );
  expect(texts(lines)).toEqual([["Face", "Hello."]]);
  expect(lines[0]?.open).toBe(false);
});

it("has one line for a final partial and its utterance", () => {
  const lines = linesOf(
    streaming("Hello", "i1", true),
    utterance("replica", "Hello there.", "i1"),
  );
  expect(texts(lines)).toEqual([["Face", "Hello there."]]);
});

it("does not reopen a line for a late partial", () => {
  const lines = linesOf(
    utterance("replica", "Hello.", "i1"),
    streaming("Hel", "i1"),
  );
  expect(lines).toMatchObject([{ text: "Hello.", open: false }]);
});

it("starts a new line for the next utterance", () => {
  const lines = linesOf(
    streaming("One", "i1"),
    utterance("user", "Hm", "i2"),
    streaming("Two", "i3"),
  );
  expect(texts(lines)).toEqual([
    ["Face", "One"],
    ["You", "Hm"],
    ["Face", "Two"],
  ]);
});

it("says nothing for silence and for what has no words", () => {
  const none = linesOf(
    streaming(""),
    {
      event_type: "conversation.started_speaking",
      properties: { role: "user" },
    },
    { event_type: "system.replica_joined" },
  );
  expect(none).toEqual([]);
});

it("shows tool calls with arguments as text or as an object", () => {
  const call = (given: unknown): AppMessage => ({
    event_type: "conversation.tool_call",
    properties: { name: "f", arguments: given },
  });
  const lines = linesOf(call('{"a":1}'), call({ a: 1 }), call(undefined));
  expect(lines.map(({ text }) => text)).toEqual([
    'Tool call: f({"a":1})',
    'Tool call: f({"a":1})',
    "Tool call: f()",
  ]);
});

it("survives properties that are not what they should be", () => {
  const odd = {
    event_type: "conversation.utterance",
    properties: { role: 7, speech: { deep: [1] } },
  };
  expect(texts(linesOf(odd))).toEqual([["Face", '{"deep":[1]}']]);
});

it("is bounded, in lines and in text", () => {
  let lines: Line[] = [];
  for (let n = 0; n < 400; n += 1) lines = addLine(lines, { text: String(n) });
  expect(lines).toHaveLength(300);
  expect(lines.at(-1)?.text).toBe("399");
  expect(new Set(lines.map(({ id }) => id)).size).toBe(300);
  expect(addLine([], { text: "x".repeat(5000) })[0]?.text).toHaveLength(2000);
});
