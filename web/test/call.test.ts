//
// This file is part of TEN Framework, an open source project.
// Licensed under the Apache License, Version 2.0.
// See the LICENSE file for more information.
//
/** Tests of call.ts: a visit from load to end, with the room in our hand. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { Api } from "../src/api";
import { Call } from "../src/call";
import type { StreamListener } from "../src/stream";
import {
  FakeLocks,
  FakeRoom,
  conversation,
  holdFetch,
  locks,
  refusal,
  reply,
  settle,
  type Asked,
} from "./fakes";

const CONFIG = {
  version: "1",
  token_needed: false,
  limits: { custom_greeting: 4000, conversational_context: 40000 },
};

let asked: Asked[];
let rooms: FakeRoom[];
let streams: { listener: StreamListener; closed: boolean }[];
let token: string;
let call: Call;

function newCall(shared = new FakeLocks()): Call {
  return new Call({
    api: new Api(() => token),
    makeRoom: (_url, listener) => {
      const room = new FakeRoom(listener);
      rooms.push(room);
      return room;
    },
    openStream: (listener) => {
      const stream = { listener, closed: false };
      streams.push(stream);
      return {
        close: () => {
          stream.closed = true;
        },
      };
    },
    locks: locks(shared),
  });
}

beforeEach(() => {
  vi.useFakeTimers();
  asked = holdFetch();
  rooms = [];
  streams = [];
  token = "";
  call = newCall();
});
afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

const name = () => call.view().state.name;
const room = () => rooms.at(-1);
const texts = () => call.view().lines.map(({ text }) => text);

/** Answers the oldest request that waits, and says what it was. */
async function answer(response: Response): Promise<string> {
  const next = asked.shift();
  next?.answer(response);
  await settle();
  return `${next?.init.method ?? "nothing"} ${next?.url ?? ""}`;
}

async function event(what: string, data: object): Promise<void> {
  streams.at(-1)?.listener.event(what, data);
  await settle();
}

async function load(running: object[] = [], config: object = CONFIG) {
  void call.load();
  await answer(reply(config));
  await answer(reply({ conversations: running }));
}

async function live() {
  await load();
  call.setStage(document.body);
  call.start();
  await event("ready", { conversation_ids: [] });
  await answer(reply(conversation("c1")));
  room()?.listener.joined();
  room()?.listener.faceJoined();
}

describe("loading", () => {
  it("asks for what runs, and opens no stream for nothing", async () => {
    void call.load();
    expect(await answer(reply(CONFIG))).toBe("GET /api/tavus/config");
    const running = reply({ conversations: [] });
    expect(await answer(running)).toBe("GET /api/tavus/conversation");
    expect(name()).toBe("idle");
    expect(streams).toEqual([]);
  });

  it("joins what runs as soon as there is a stage", async () => {
    await load([conversation("c1")]);
    expect(name()).toBe("joining");
    expect(streams).toHaveLength(1);
    expect(texts()[0]).toMatch(/^Welcome back/);
    expect(rooms).toEqual([]);
    call.setStage(document.body);
    await settle();
    expect(room()?.joined).toBe("http://127.0.0.1:9/room/c1");
  });

  it("asks for nothing more while a token is missing", async () => {
    void call.load();
    await answer(reply({ ...CONFIG, token_needed: true }));
    expect(name()).toBe("idle");
    expect(asked).toEqual([]);
  });

  it("takes an old token for no token", async () => {
    token = "old";
    void call.load();
    await answer(reply({ ...CONFIG, token_needed: true }));
    await answer(refusal(401, "unauthorized"));
    expect(name()).toBe("idle");
  });

  it("says when the server is away", async () => {
    void call.load();
    asked.shift()?.fail(new TypeError("Failed to fetch"));
    await settle();
    expect(call.view().state).toMatchObject({
      name: "failed",
      problem: { kind: "offline" },
    });
  });
});

describe("a conversation", () => {
  beforeEach(live);

  it("is live, and was created after the stream was ready", () => {
    expect(name()).toBe("live");
    expect(call.view().sinceMs).toBe(Date.now());
    expect(texts()).toEqual([
      "Asking for a conversation",
      "Joining its room",
      "You are in the room",
      "The face has joined",
    ]);
  });

  it("ends by DELETE, and says why and how long", async () => {
    call.leave();
    await settle();
    expect(room()?.left).toBe(1);
    expect(await answer(reply({ conversation_id: "c1" }))).toBe(
      "DELETE /api/tavus/conversation/c1",
    );
    const over = {
      ...conversation("c1"),
      status: "ended",
      reason: "end_conversation",
      duration_ms: 5000,
    };
    expect(await answer(reply(over))).toBe("GET /api/tavus/conversation/c1");
    expect(call.view().state).toEqual({
      name: "ended",
      reason: "end_conversation",
      durationMs: 5000,
    });
    expect(streams[0]?.closed).toBe(true);
  });

  it("that the server knows no more has ended", async () => {
    call.leave();
    await answer(refusal(404, "not_found"));
    await answer(refusal(404, "not_found"));
    expect(name()).toBe("ended");
  });

  it("that cannot be ended is tried again on request", async () => {
    call.leave();
    await answer(refusal(502, "network"));
    expect(call.view().state).toMatchObject({
      name: "failed",
      problem: { kind: "not_ended" },
    });
    call.leave();
    expect(await answer(reply({ conversation_id: "c1" }))).toMatch(/^DELETE/);
    await answer(refusal(500, "internal"));
    expect(name()).toBe("ended");
  });

  it("that Tavus ends takes us out of the room", async () => {
    await event("tavus_conversation_ended", {
      conversation_id: "c1",
      reason: "max_call_duration reached",
      duration_ms: 7000,
    });
    expect(call.view().state).toMatchObject({
      name: "ended",
      durationMs: 7000,
    });
    expect(room()?.left).toBe(1);
    expect(asked).toEqual([]);
  });

  it("whose room closes waits for the reason before it asks", async () => {
    room()?.listener.left();
    await vi.advanceTimersByTimeAsync(3_999);
    expect(asked).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    expect(asked[0]?.init.method).toBe("DELETE");
  });

  it("missing from ready is asked about, and then over", async () => {
    await event("ready", { conversation_ids: [] });
    expect(name()).toBe("live");
    await answer(
      reply({ ...conversation("c1"), status: "ended", reason: "user_left" }),
    );
    expect(call.view().state).toMatchObject({
      name: "ended",
      reason: "user_left",
    });
  });

  it("missing from an old ready goes on", async () => {
    await event("ready", { conversation_ids: [] });
    await answer(reply({ ...conversation("c1"), status: "active" }));
    expect(name()).toBe("live");
  });

  it("goes on while the stream is away, and says so", () => {
    streams[0]?.listener.link(false);
    expect([...call.view().down]).toEqual(["stream"]);
    expect(name()).toBe("live");
    streams[0]?.listener.link(true);
    expect([...call.view().down]).toEqual([]);
  });

  it("goes on without a microphone, until it has one", () => {
    const denied = { kind: "microphone_denied", detail: "" };
    room()?.listener.denied(denied);
    expect(call.view().notice).toEqual(denied);
    expect(name()).toBe("live");
    room()?.listener.microphone(true);
    expect(call.view().notice).toBeNull();
  });

  it("tells the graph what is said, and the log too", async () => {
    room()?.listener.message({
      event_type: "conversation.utterance",
      properties: { role: "user", speech: "Hello" },
    });
    const post = asked[0];
    expect(post?.url).toBe("/api/tavus/conversation/c1/interaction");
    expect(post?.init.body).toContain('"speech":"Hello"');
    expect(await answer(reply({ accepted: true }))).toMatch(/^POST/);
    expect(texts().at(-1)).toBe("Hello");
  });

  it("sends what the graph says into its room only", async () => {
    const echo = {
      message_type: "conversation",
      event_type: "conversation.echo",
      properties: { text: "hi" },
    };
    await event("tavus_interaction", { ...echo, conversation_id: "c2" });
    expect(room()?.sent).toEqual([]);
    await event("tavus_interaction", { ...echo, conversation_id: "c1" });
    expect(room()?.sent).toEqual([{ ...echo, conversation_id: "c1" }]);
  });

  it("survives events that are not what they should be", async () => {
    for (const what of [
      "ready",
      "tavus_conversation_ended",
      "tavus_interaction",
      "tavus_event",
      "tavus_error",
      "new",
    ])
      for (const data of [{}, [], { conversation_ids: "c1" }])
        await event(what, data);
    expect(name()).toBe("live");
  });

  it("starts again in a room of its own", async () => {
    const first = room();
    await event("tavus_conversation_ended", { conversation_id: "c1" });
    call.start();
    await event("ready", { conversation_ids: [] });
    // Nothing is asked about the first one any more.
    expect(asked.map(({ init }) => init.method)).toEqual(["POST"]);
    await answer(reply(conversation("c2")));
    expect(room()).not.toBe(first);
    expect(room()?.joined).toBe("http://127.0.0.1:9/room/c2");
    expect(texts()[0]).toBe("Asking for a conversation");
  });
});

it("obeys the graph in one tab of two", async () => {
  const shared = new FakeLocks();
  for (const tab of [newCall(shared), newCall(shared)]) {
    call = tab;
    await load([conversation("c1")]);
    call.setStage(document.body);
    await settle();
    room()?.listener.joined();
  }
  const echo = { event_type: "conversation.echo", properties: { text: "hi" } };
  for (const { listener } of streams) listener.event("tavus_interaction", echo);
  expect(rooms.map(({ sent }) => sent)).toEqual([[echo], []]);
});

it("keeps what the graph says until we are in the room", async () => {
  await load([conversation("c1")]);
  call.setStage(document.body);
  const echo = { event_type: "conversation.echo", properties: { text: "hi" } };
  await event("tavus_interaction", echo);
  expect(room()?.sent).toEqual([]);
  room()?.listener.joined();
  expect(room()?.sent).toEqual([echo]);
});

it("ends what create answers after cancel", async () => {
  await load();
  call.setStage(document.body);
  call.start();
  await event("ready", { conversation_ids: [] });
  call.leave();
  expect(name()).toBe("ending");
  expect(await answer(reply(conversation("c9")))).toMatch(/create$/);
  expect(rooms).toEqual([]);
  const ended = await answer(reply({ conversation_id: "c9" }));
  expect(ended).toBe("DELETE /api/tavus/conversation/c9");
});

it.each(["javascript:alert(1)", "ftp://x/y", "", "room/c1"])(
  "opens no frame for %j",
  async (url) => {
    await load();
    call.setStage(document.body);
    call.start();
    await event("ready", { conversation_ids: [] });
    const odd = { conversation_id: "c1", conversation_url: url, join_url: url };
    await answer(reply(odd));
    expect(rooms).toEqual([]);
    expect(asked[0]?.init.method).toBe("DELETE");
  },
);

it("shows a failed create, then the options of the last try", async () => {
  await load();
  const options = {
    language: "french",
    custom_greeting: "",
    conversational_context: "",
  };
  call.start(options);
  await event("ready", { conversation_ids: [] });
  await answer(refusal(503, "credits"));
  expect(call.view().state).toMatchObject({
    name: "failed",
    problem: { kind: "credits", detail: "why" },
  });
  call.reset();
  expect(name()).toBe("idle");
  expect(call.options).toEqual(options);
});
