//
// This file is part of TEN Framework, an open source project.
// Licensed under the Apache License, Version 2.0.
// See the LICENSE file for more information.
//
/** Tests of session.ts: every way a visit can go. */
import { describe, expect, it } from "vitest";

import type { Conversation } from "../src/api";
import {
  LIMITS_MS,
  step,
  type Act,
  type Happening,
  type State,
} from "../src/session";
import { NETWORK, conversation } from "./fakes";

const OPTIONS = {
  language: "",
  custom_greeting: "Hi",
  conversational_context: "",
};
const C1 = conversation("c1");

/** Where a visit is after some happenings, and what the last one asks for. */
function visit(...all: Happening[]): { state: State; acts: Act[] } {
  return from({ name: "idle" }, ...all);
}

function from(state: State, ...all: Happening[]) {
  let now: { state: State; acts: Act[] } = { state, acts: [] };
  for (const one of all) now = step(now.state, one);
  return now;
}

const START: Happening = { type: "start", options: OPTIONS };
const READY: Happening = { type: "ready", ids: [] };
const LEAVE: Happening = { type: "leave" };
const JOINED: Happening = { type: "room_joined" };
const FACE: Happening = { type: "face_joined" };
const created = (one: Conversation): Happening => ({
  type: "created",
  conversation: one,
});
const over = (id: string, reason = "tavus"): Happening => ({
  type: "over",
  over: { id, reason, durationMs: 1000 },
});
const TO_LIVE = [START, READY, created(C1), JOINED, FACE];
const CLOSED = [{ do: "leave_room" }, { do: "close_stream" }];

describe("the happy path", () => {
  it("opens the stream before it creates", () => {
    expect(visit(START).acts).toEqual([{ do: "open_stream" }]);
    expect(visit(START, READY).acts).toEqual([
      { do: "create", options: OPTIONS },
    ]);
  });

  it("creates once, however often the stream comes back", () => {
    expect(visit(START, READY, READY).acts).toEqual([]);
  });

  it("goes from joining to waiting to live", () => {
    const names = [3, 4, 5].map(
      (length) => visit(...TO_LIVE.slice(0, length)).state.name,
    );
    expect(names).toEqual(["joining", "waiting", "live"]);
  });

  it("is live when the face was in the room before us", () => {
    const all = visit(START, READY, created(C1), FACE, JOINED);
    expect(all.state.name).toBe("live");
  });

  it("leaves the room at once and ends the conversation", () => {
    const { state, acts } = visit(...TO_LIVE, LEAVE);
    expect(state.name).toBe("ending");
    expect(acts).toEqual([{ do: "leave_room" }, { do: "end", id: "c1" }]);
    const done = from(state, over("c1", "end_conversation"));
    expect(done.state).toEqual({
      name: "ended",
      reason: "end_conversation",
      durationMs: 1000,
    });
    expect(done.acts).toEqual(CLOSED);
  });

  it("starts again after an end and after a failure", () => {
    expect(visit(...TO_LIVE, over("c1"), START).state.name).toBe("creating");
    const failed = visit(START, {
      type: "stream_failed",
      problem: NETWORK,
      final: false,
    });
    expect(failed.state.name).toBe("failed");
    expect(from(failed.state, START).state.name).toBe("creating");
  });
});

describe("a page that is loaded", () => {
  const loading: State = { name: "loading" };

  it("is idle, with no stream, when nothing runs", () => {
    const now = from(loading, { type: "loaded", running: null, mine: false });
    expect(now).toEqual({ state: { name: "idle" }, acts: [] });
  });

  it("joins again what runs", () => {
    const now = from(loading, { type: "loaded", running: C1, mine: true });
    expect(now.state.name).toBe("joining");
    expect(now.acts).toEqual([
      { do: "open_stream" },
      { do: "join", conversation: C1 },
    ]);
  });

  it("shows why it could not ask", () => {
    const now = from(loading, { type: "load_failed", problem: NETWORK });
    expect(now.state).toMatchObject({ name: "failed", problem: NETWORK });
  });
});

describe("a conversation that Tavus ends", () => {
  it.each([
    ["joining", 3],
    ["waiting", 4],
    ["live", 5],
  ])("while %s is over", (_name, length) => {
    const now = visit(...TO_LIVE.slice(0, length), over("c1", "max"));
    expect(now.state).toMatchObject({ name: "ended", reason: "max" });
    expect(now.acts).toEqual(CLOSED);
  });

  it("before create is answered is over when it is", () => {
    const now = visit(START, READY, over("c1", "max"), created(C1));
    expect(now.state).toMatchObject({ name: "ended", reason: "max" });
    expect(now.acts).toEqual(CLOSED);
  });

  it("and which is not ours changes nothing", () => {
    const now = visit(...TO_LIVE, over("c2"));
    expect(now.state.name).toBe("live");
    expect(now.acts).toEqual([]);
  });

  it("twice is ended once, with the first reason", () => {
    const now = visit(...TO_LIVE, over("c1", "first"), over("c1", "second"));
    expect(now.state).toMatchObject({ name: "ended", reason: "first" });
    expect(now.acts).toEqual([]);
  });

  it("while we end it counts as ended", () => {
    const now = visit(...TO_LIVE, LEAVE, over("c1", "max"));
    expect(now.state).toMatchObject({ name: "ended", reason: "max" });
  });

  it("is asked about when only the room says so", () => {
    const left = visit(...TO_LIVE, { type: "room_left", past: null });
    expect(left.state.name).toBe("ending");
    expect(left.acts).toEqual([{ do: "leave_room" }, { do: "await_end" }]);
    const late = from(left.state, { type: "end_overdue" });
    expect(late.acts).toEqual([{ do: "end", id: "c1" }]);
    expect(from(late.state, { type: "end_overdue" }).acts).toEqual([]);
    const told = from(left.state, over("c1", "max"), { type: "end_overdue" });
    expect(told.state).toMatchObject({ name: "ended", reason: "max" });
    expect(told.acts).toEqual([]);
  });
});

describe("a stream that comes back", () => {
  it("with our conversation goes on", () => {
    const now = visit(...TO_LIVE, { type: "ready", ids: ["c1"] });
    expect(now.state.name).toBe("live");
    expect(now.acts).toEqual([]);
  });

  it("without our conversation asks whether it is over", () => {
    const now = visit(...TO_LIVE, READY);
    expect(now.acts).toEqual([{ do: "check", id: "c1" }]);
    expect(from(now.state, over("c1", "")).state.name).toBe("ended");
  });

  it("that is merely lost ends nothing", () => {
    const now = visit(...TO_LIVE, {
      type: "stream_failed",
      problem: NETWORK,
      final: false,
    });
    expect(now.state.name).toBe("live");
    expect(now.acts).toEqual([]);
  });

  it("that is refused for good ends the conversation and says why", () => {
    const refused = { kind: "unauthorized", detail: "" };
    const now = visit(...TO_LIVE, {
      type: "stream_failed",
      problem: refused,
      final: true,
    });
    expect(now.state.name).toBe("ending");
    expect(now.acts).toContainEqual({ do: "end", id: "c1" });
    expect(from(now.state, over("c1")).state).toEqual({
      name: "failed",
      problem: refused,
      conversation: null,
      cause: null,
    });
  });

  it("that cannot be opened creates nothing", () => {
    const now = visit(START, {
      type: "stream_failed",
      problem: NETWORK,
      final: false,
    });
    expect(now.state).toMatchObject({ name: "failed", problem: NETWORK });
    expect(now.acts).toEqual(CLOSED);
    expect(from(now.state, READY).acts).toEqual([]);
  });
});

describe("cancel", () => {
  it("before create was sent goes back, having created nothing", () => {
    const now = visit(START, LEAVE);
    expect(now.state.name).toBe("idle");
    expect(now.acts).toEqual(CLOSED);
    expect(from(now.state, READY).acts).toEqual([]);
  });

  it("ends what create answers afterwards", () => {
    const cancelled = visit(START, READY, LEAVE);
    expect(cancelled.state.name).toBe("ending");
    expect(cancelled.acts).toEqual([]);
    const late = from(cancelled.state, created(C1));
    expect(late.acts).toEqual([{ do: "end", id: "c1" }]);
    expect(from(late.state, over("c1")).state.name).toBe("ended");
  });

  it("goes back when create fails afterwards", () => {
    const now = visit(START, READY, LEAVE, {
      type: "create_failed",
      problem: NETWORK,
    });
    expect(now.state.name).toBe("idle");
    expect(now.acts).toEqual(CLOSED);
  });

  it("pressed twice asks once, and waits no longer", () => {
    const now = visit(...TO_LIVE, LEAVE, LEAVE);
    expect(now.acts).toEqual(CLOSED);
    expect(now.state).toMatchObject({
      name: "failed",
      problem: { kind: "not_ended" },
      conversation: C1,
    });
  });
});

describe("a failure", () => {
  it("of create is shown, and the stream closed", () => {
    const now = visit(START, READY, {
      type: "create_failed",
      problem: NETWORK,
    });
    expect(now.state).toMatchObject({ name: "failed", problem: NETWORK });
    expect(now.acts).toEqual(CLOSED);
  });

  it("of the room ends the conversation before it is shown", () => {
    const problem = { kind: "room_full", detail: "" };
    const now = visit(...TO_LIVE.slice(0, 3), { type: "room_failed", problem });
    expect(now.state.name).toBe("ending");
    expect(now.acts).toEqual([{ do: "leave_room" }, { do: "end", id: "c1" }]);
    const done = from(now.state, over("c1"));
    expect(done.state).toMatchObject({ name: "failed", problem });
  });

  it("to end is shown as such, and can be tried again", () => {
    const now = visit(...TO_LIVE, LEAVE, {
      type: "end_failed",
      problem: NETWORK,
    });
    expect(now.state).toMatchObject({
      name: "failed",
      problem: { kind: "not_ended", detail: "no route" },
      conversation: C1,
    });
    expect(now.acts).toEqual(CLOSED);
    const again = from(now.state, LEAVE);
    expect(again.acts).toContainEqual({ do: "end", id: "c1" });
    expect(from(again.state, over("c1")).state.name).toBe("ended");
  });

  it("is forgotten on the way back", () => {
    const now = visit(
      START,
      { type: "stream_failed", problem: NETWORK, final: true },
      { type: "reset" },
    );
    expect(now).toEqual({ state: { name: "idle" }, acts: [] });
  });
});

it("ends a conversation that turns up when nobody waits for one", () => {
  expect(visit(created(C1)).acts).toEqual([{ do: "end", id: "c1" }]);
});

describe("a wait", () => {
  const OVERDUE: Happening = { type: "overdue", detail: "why" };
  const GONE: Happening = { type: "face_left" };

  it("has a limit in every state where somebody else is to act", () => {
    expect(Object.keys(LIMITS_MS).sort()).toEqual([
      "away",
      "creating",
      "ending",
      "joining",
      "waiting",
    ]);
  });

  it.each([
    ["joining", TO_LIVE.slice(0, 3), "room_network"],
    ["waiting", TO_LIVE.slice(0, 4), "face_absent"],
    ["away", [...TO_LIVE, GONE], "face_gone"],
  ])("while %s ends the conversation, then says why", (name, before, kind) => {
    const waits = visit(...before);
    expect(waits.state.name).toBe(name);
    const now = from(waits.state, OVERDUE);
    expect(now.state.name).toBe("ending");
    expect(now.acts).toContainEqual({ do: "end", id: "c1" });
    expect(from(now.state, over("c1")).state).toMatchObject({
      name: "failed",
      problem: { kind, detail: "why" },
    });
  });

  it("for the answer to create is followed by one that comes late", () => {
    const now = visit(START, READY, OVERDUE, OVERDUE);
    expect(now.state).toMatchObject({
      name: "failed",
      problem: { kind: "given_up" },
    });
    expect(from(now.state, created(C1)).acts).toEqual([
      { do: "end", id: "c1" },
    ]);
  });

  it("for an end is over soon, and the end is told when it comes", () => {
    const now = visit(...TO_LIVE, LEAVE, OVERDUE);
    expect(now.state).toMatchObject({ problem: { kind: "not_ended" } });
    expect(from(now.state, over("c1", "max")).state).toMatchObject({
      name: "ended",
      reason: "max",
    });
  });

  it("for an end that nobody asked for asks for it", () => {
    const now = visit(...TO_LIVE, { type: "room_left", past: null }, OVERDUE);
    expect(now.acts).toContainEqual({ do: "end", id: "c1" });
  });

  it("for an end keeps why there had to be one", () => {
    const problem = { kind: "room_network", detail: "" };
    const lost: Happening = { type: "room_failed", problem };
    const now = visit(...TO_LIVE, lost, OVERDUE, over("c1"));
    expect(now.state).toMatchObject({ name: "failed", problem });
  });

  it("without a network says that nobody could be asked", () => {
    const problem = { kind: "offline", detail: "" };
    const now = visit(...TO_LIVE, LEAVE, { type: "end_failed", problem });
    expect(now.state).toMatchObject({ problem: { kind: "not_asked" } });
  });
});

describe("a face that is gone", () => {
  const GONE: Happening = { type: "face_left" };

  it("may come back", () => {
    expect(visit(...TO_LIVE, GONE).state.name).toBe("away");
    expect(visit(...TO_LIVE, GONE, FACE).state.name).toBe("live");
  });

  it("and another that is sent begin the wait anew", () => {
    const away = visit(...TO_LIVE, GONE).state;
    const again = from(away, { type: "face_sent" }).state;
    expect(again).toEqual(away);
    expect(again).not.toBe(away);
  });

  it("with the end of the conversation is over at once, with its reason", () => {
    const past = { reason: "max_call_duration reached", durationMs: 9 };
    const now = visit(...TO_LIVE, GONE, { type: "room_left", past });
    expect(now.state).toEqual({ name: "ended", ...past });
    // What is left of it is cleared away, and nobody waits for that.
    expect(now.acts).toContainEqual({ do: "end", id: "c1" });
  });
});

describe("another tab", () => {
  const elsewhere = { ...C1, elsewhere: true };

  it("keeps its call when this one is loaded", () => {
    const now = from(
      { name: "loading" },
      { type: "loaded", running: C1, mine: false },
    );
    expect(now).toEqual({
      state: { name: "elsewhere", conversation: C1 },
      acts: [],
    });
  });

  it("keeps its call when this one wants to start", () => {
    const now = visit(START, READY, created(elsewhere));
    expect(now.state.name).toBe("elsewhere");
    expect(now.acts).toEqual(CLOSED);
  });

  it("keeps its call when this one has cancelled its start", () => {
    const now = visit(START, READY, LEAVE, created(elsewhere));
    expect(now.state.name).toBe("idle");
    expect(now.acts).toEqual(CLOSED);
  });

  it("can take the call, and lose it again", () => {
    const lost = visit(...TO_LIVE, { type: "room_taken" });
    expect(lost.state.name).toBe("elsewhere");
    expect(lost.acts).toEqual(CLOSED);
    const back = from(lost.state, { type: "take" });
    expect(back.state.name).toBe("joining");
    expect(back.acts).toContainEqual({ do: "rejoin", id: "c1" });
  });
});
