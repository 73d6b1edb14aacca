//
// This file is part of TEN Framework, an open source project.
// Licensed under the Apache License, Version 2.0.
// See the LICENSE file for more information.
//
/** Tests of errors.ts and words.ts: there are words for everything. */
import { describe, expect, it } from "vitest";

import { KINDS, adviceFor } from "../src/errors";
import { clock, durationInWords, reasonInWords } from "../src/words";

/** What tavus_http answers: its answers.py. */
const SERVER_KINDS = (
  "validation not_found method too_large cancelled forbidden unauthorized " +
  "too_many full auth credits concurrency rate_limited server network " +
  "protocol timeout config graph stopping internal limiter slow unknown"
).split(" ");
/** What rooms.ts and this page add. */
const PAGE_KINDS = (
  "offline microphone_denied camera_denied room_not_allowed room_full " +
  "room_network not_ended not_asked given_up sound_blocked face_absent face_gone avatar"
).split(" ");

describe("advice", () => {
  it("is there for every kind, and for no other", () => {
    expect([...KINDS].sort()).toEqual([...SERVER_KINDS, ...PAGE_KINDS].sort());
  });

  it.each(KINDS)("for %s says what happened and what to do", (kind) => {
    const { title, what, todo } = adviceFor({ kind, detail: "" });
    expect(title).toMatch(/^[A-Z].*[a-z]$/);
    expect(what).toMatch(/^[A-Z].*\.$/);
    expect(todo).toMatch(/^[A-Z].*\.$/);
  });

  it("tells people nothing that only the server's owner can do", () => {
    for (const kind of KINDS) {
      const { title, what, todo } = adviceFor({ kind, detail: "" });
      expect(`${title} ${what} ${todo}`).not.toMatch(
        /[A-Z]+_[A-Z]+|[a-z]_[a-z]|base_url|proxy|graph|README|Redis|portal/,
      );
    }
  });

  it.each(["", "brand_new", "constructor", "__proto__"])(
    "for the unknown kind %j is general",
    (kind) => {
      expect(adviceFor({ kind, detail: "" })).toBe(
        adviceFor({ kind: "unknown", detail: "" }),
      );
    },
  );
});

describe("words", () => {
  it("are the same with and without Tavus's 'reached'", () => {
    expect(reasonInWords("max_call_duration reached")).toBe(
      reasonInWords("max_call_duration"),
    );
  });

  it.each([
    ["", "It is over."],
    ["end_conversation", "You ended it."],
    ["meteor strike", "Tavus ended it: meteor strike."],
    ["toString", "Tavus ended it: toString."],
  ])("for the reason %j are %j", (reason, words) => {
    expect(reasonInWords(reason)).toBe(words);
  });

  it.each([
    [0, "less than a second"],
    [999, "less than a second"],
    [1_000, "1 second"],
    [60_000, "1 minute"],
    [185_400, "3 minutes 5 seconds"],
  ])("for %i ms are %j", (ms, words) => {
    expect(durationInWords(ms)).toBe(words);
  });

  it("count on a clock", () => {
    expect([0, 59_999, 60_000, 3_725_000].map(clock)).toEqual([
      "0:00",
      "0:59",
      "1:00",
      "62:05",
    ]);
  });
});
