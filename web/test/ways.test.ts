//
// This file is part of TEN Framework, an open source project.
// Licensed under the Apache License, Version 2.0.
// See the LICENSE file for more information.
//
/** Tests of ways.ts: a visit in a room of LiveKit, from start to end. */
import { afterEach, beforeEach, expect, it, vi } from "vitest";

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
};
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
  expect(name()).toBe("idle");
  call.setStage(document.body);
  call.start();
  await settle();
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
  call.start();
  await settle();
  await answer(refusal(503, "graph"));
  expect(call.view().state).toMatchObject({
    name: "failed",
    problem: { kind: "graph" },
  });
});

it("is ended by a page that closes", async () => {
  await live();
  call.abandon();
  await settle();
  const [request] = asked;
  expect(request?.url).toBe("/api/tavus/livekit/ten-1/stop");
  expect(request?.init.keepalive).toBe(true);
  expect(request?.headers.get("authorization")).toBe("Bearer token");
});

it("shows that the connection is lost", async () => {
  const { room } = await live();
  room.listener.link(false);
  expect(call.view().linked).toBe(false);
});
