//
// This file is part of TEN Framework, an open source project.
// Licensed under the Apache License, Version 2.0.
// See the LICENSE file for more information.
//
/** Tests of ways.ts: a visit in a room of LiveKit, from start to end. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { Api } from "../src/api";
import { Call } from "../src/call";
import {
  FakeRoom,
  holdFetch,
  refusal,
  reply,
  settle,
  type Asked,
} from "./fakes";

const CONFIG = {
  version: "1",
  token_needed: false,
  mode: "livekit",
  limits: { custom_greeting: 4000, conversational_context: 40000 },
};
const STARTED = {
  room_name: "ten-1",
  user_token: "a.b.c",
  livekit_url: "wss://lk.example.com",
  age_ms: 0,
};
const ROOMS = "/api/tavus/livekit";
const ENDED = { room_name: "ten-1", reason: "user_left", duration_ms: 4000 };

let asked: Asked[];
let rooms: { room: FakeRoom; url: URL }[];
let call: Call;

beforeEach(() => {
  asked = holdFetch();
  rooms = [];
  call = new Call({
    api: new Api(() => "token"),
    makeRoom: (url, listener) => {
      const room = new FakeRoom(listener);
      rooms.push({ room, url });
      return room;
    },
    openStream: () => {
      throw new Error("nobody opens it");
    },
    locks: undefined,
  });
});
afterEach(() => {
  sessionStorage.clear();
  vi.unstubAllGlobals();
});

const name = () => call.view().state.name;

async function answer(response: Response): Promise<string> {
  const next = asked.shift();
  next?.answer(response);
  await settle();
  return `${next?.init.method ?? "nothing"} ${next?.url ?? ""}`;
}

async function live() {
  void call.load();
  await answer(reply(CONFIG));
  expect(await answer(reply({ rooms: [] }))).toBe(`GET ${ROOMS}`);
  expect(name()).toBe("idle");
  call.setStage(document.body);
  call.start();
  await settle();
  expect(await answer(reply({ rooms: [] }))).toBe(`GET ${ROOMS}`);
  expect(await answer(reply(STARTED))).toBe("POST /api/tavus/livekit/start");
  const made = rooms[0];
  if (!made) throw new Error("no room");
  made.room.listener.joined();
  made.room.listener.faceJoined();
  expect(name()).toBe("live");
  return made;
}

it("begins in a room whose address has the key", async () => {
  const { url } = await live();
  expect(url.href).toBe("wss://lk.example.com/?t=a.b.c");
});

it("has the face interrupted", async () => {
  const { room } = await live();
  call.interrupt();
  expect(room.sent).toEqual([{ type: "interrupt" }]);
});

it("relays nothing: the graph is in the room itself", async () => {
  const { room } = await live();
  room.listener.message({ event_type: "conversation.utterance" });
  await settle();
  expect(asked).toEqual([]);
});

it("ends when we leave", async () => {
  const { room } = await live();
  call.leave();
  await settle();
  expect(room.left).toBe(1);
  const end = { ...ENDED, reason: "end_conversation" };
  expect(await answer(reply(end))).toBe("POST /api/tavus/livekit/ten-1/stop");
  expect(call.view().state).toMatchObject({
    name: "ended",
    reason: "end_conversation",
    durationMs: 4000,
  });
});

it("asks how it ended when the room is closed for all", async () => {
  vi.useFakeTimers();
  const { room } = await live();
  room.listener.left();
  vi.advanceTimersByTime(5_000);
  await settle();
  vi.useRealTimers();
  await answer(reply(ENDED));
  expect(call.view().state).toMatchObject({
    name: "ended",
    reason: "user_left",
  });
});

it("is over when the server knows nothing of it", async () => {
  await live();
  call.leave();
  await settle();
  await answer(refusal(404, "not_found"));
  expect(name()).toBe("ended");
});

it("says why no room was made", async () => {
  void call.load();
  await answer(reply(CONFIG));
  await answer(reply({ rooms: [] }));
  call.start();
  await settle();
  await answer(reply({ rooms: [] }));
  await answer(refusal(503, "graph"));
  expect(call.view().state).toMatchObject({
    name: "failed",
    problem: { kind: "graph" },
  });
});

it("ends with the reason of the room, and asks for the rest's end", async () => {
  const { room } = await live();
  room.listener.left({ reason: "max_call_duration", durationMs: 7000 });
  expect(call.view().state).toEqual({
    name: "ended",
    reason: "max_call_duration",
    durationMs: 7000,
  });
  await settle();
  expect(await answer(reply(ENDED))).toBe("POST /api/tavus/livekit/ten-1/stop");
  expect(call.view().state).toMatchObject({ reason: "max_call_duration" });
});

it("says something in writing, in the graph's own form", async () => {
  const { room } = await live();
  expect(call.view().takes).toEqual([]);
  room.listener.takes(["text"]);
  expect(call.view().takes).toEqual(["text"]);
  call.say("Hello");
  expect(room.sent).toEqual([{ type: "text", text: "Hello" }]);
});

it("shows that the connection is lost", async () => {
  const { room } = await live();
  room.listener.link(false);
  expect([...call.view().down]).toEqual(["room"]);
});

describe("a page that is loaded while a call runs", () => {
  async function loadAnew() {
    void call.load();
    call.setStage(document.body);
    await answer(reply(CONFIG));
    const room = { ...STARTED, age_ms: 65_000 };
    await answer(reply({ rooms: [room] }));
  }

  it("goes on with its own, its words and its time", async () => {
    const lines = [
      { id: 1, kind: "speech", who: "You", text: "Hi", at: new Date() },
    ];
    sessionStorage.setItem(
      "tavus_call",
      JSON.stringify({ id: "ten-1", lines }),
    );
    await loadAnew();
    expect(name()).toBe("joining");
    expect(rooms[0]?.url.href).toBe("wss://lk.example.com/?t=a.b.c");
    expect(call.view().lines[0]?.text).toBe("Hi");
    const seconds = (Date.now() - (call.view().sinceMs ?? 0)) / 1000;
    expect(Math.round(seconds)).toBe(65);
  });

  it("shows the call of another tab, and takes it only when asked", async () => {
    await loadAnew();
    expect(name()).toBe("elsewhere");
    expect(rooms).toEqual([]);
    call.take();
    await answer(reply({ rooms: [{ ...STARTED, user_token: "new" }] }));
    expect(name()).toBe("joining");
    expect(rooms[0]?.url.searchParams.get("t")).toBe("new");
  });

  it("can end the call of another tab", async () => {
    await loadAnew();
    call.leave();
    await settle();
    expect(await answer(reply(ENDED))).toContain("ten-1/stop");
    expect(name()).toBe("ended");
  });

  it("notices that the other tab has ended it", async () => {
    vi.useFakeTimers();
    await loadAnew();
    vi.advanceTimersByTime(6_000);
    await settle();
    await answer(reply({ rooms: [] }));
    vi.useRealTimers();
    expect(call.view().state).toMatchObject({ reason: "elsewhere" });
  });
});

it("does not start beside a call that began in another tab", async () => {
  void call.load();
  await answer(reply(CONFIG));
  await answer(reply({ rooms: [] }));
  call.start();
  await settle();
  await answer(reply({ rooms: [STARTED] }));
  expect(name()).toBe("elsewhere");
  expect(asked).toEqual([]);
});

it("leaves the room to the tab that took it over", async () => {
  const { room } = await live();
  room.listener.taken();
  await settle();
  expect(name()).toBe("elsewhere");
  expect(room.left).toBe(1);
  expect(asked).toEqual([]);
});
