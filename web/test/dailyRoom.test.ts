//
// This file is part of TEN Framework, an open source project.
// Licensed under the Apache License, Version 2.0.
// See the LICENSE file for more information.
//
/** Tests of dailyRoom.ts, with a call that the test speaks for. */
import type { DailyCall } from "@daily-co/daily-js";
import { beforeEach, describe, expect, it, vi } from "vitest";

import { DailyRoom, type Daily } from "../src/rooms/dailyRoom";
import { listening, settle } from "./fakes";

/** Daily's call frame, as far as the room uses it. */
class FakeCall {
  readonly handlers = new Map<string, (event: unknown) => void>();
  readonly sent: unknown[] = [];
  joinedWith: unknown = null;
  audio = true;
  video = false;
  state = "new";
  destroyed = 0;
  refuse: Error | null = null;
  frame = document.createElement("iframe");
  goodbye: Promise<void> = Promise.resolve();

  iframe() {
    return this.frame;
  }
  on(name: string, handler: (event: unknown) => void) {
    this.handlers.set(name, handler);
    return this;
  }
  join(options: unknown) {
    this.joinedWith = options;
    return this.refuse ? Promise.reject(this.refuse) : Promise.resolve();
  }
  destroy() {
    this.destroyed += 1;
    return this.goodbye;
  }
  meetingState() {
    return this.state;
  }
  localAudio() {
    return this.audio;
  }
  localVideo() {
    return this.video;
  }
  setLocalAudio(on: boolean) {
    this.audio = on;
  }
  setLocalVideo(on: boolean) {
    this.video = on;
  }
  sendAppMessage(message: unknown, to: string) {
    this.sent.push([message, to]);
  }
  tell(name: string, event: object = {}) {
    this.handlers.get(name)?.({ action: name, ...event });
  }
}

const URL_ = new URL("https://tavus.daily.co/c1");
const PRIVATE = new URL("https://tavus.daily.co/c1?t=secret");
const me = { local: true, user_id: "u" };
const face = { local: false, user_id: "tavus-replica-1" };
let call: FakeCall;
let heard: unknown[];
let room: DailyRoom;
let options: unknown;

function roomWith(load: () => Promise<Daily>): DailyRoom {
  return new DailyRoom(listening(heard), load);
}

function roomOfCall(): DailyRoom {
  return roomWith(() =>
    Promise.resolve({
      createFrame: (_parent, given) => {
        options = given;
        return call as unknown as DailyCall;
      },
    }),
  );
}

beforeEach(() => {
  call = new FakeCall();
  heard = [];
  room = roomOfCall();
});

async function join(url = URL_) {
  room.join(document.body, url);
  await settle();
}

async function joined() {
  await join();
  call.state = "joined-meeting";
  call.tell("joined-meeting", { participants: { local: me } });
  heard.length = 0;
}

describe("joining", () => {
  it("has the microphone on, the camera off and our own way out", async () => {
    await join();
    expect(options).toMatchObject({
      showLeaveButton: false,
      startAudioOff: false,
      startVideoOff: true,
    });
    expect(call.joinedWith).toEqual({ url: "https://tavus.daily.co/c1" });
  });

  it("gives the token of a private room apart from its URL", async () => {
    await join(PRIVATE);
    expect(call.joinedWith).toEqual({
      url: "https://tavus.daily.co/c1",
      token: "secret",
    });
  });

  it("tells the devices and the face that was there before", async () => {
    await join();
    call.tell("joined-meeting", { participants: { local: me, a: face } });
    expect(heard).toEqual([
      "joined",
      ["microphone", true],
      ["camera", false],
      "face",
    ]);
  });

  it("fails when Daily's code cannot be loaded", async () => {
    room = roomWith(() => Promise.reject(new Error("chunk")));
    await join();
    expect(heard).toEqual([["failed", "room_network", "chunk"]]);
  });

  it("fails once when Daily tells it twice", async () => {
    call.refuse = new Error("full");
    room.join(document.body, URL_);
    await Promise.resolve().then(() => Promise.resolve());
    call.tell("error", { errorMsg: "full", error: { type: "meeting-full" } });
    await settle();
    expect(heard).toHaveLength(1);
  });

  it("does nothing for who left while the code was loading", async () => {
    room.join(document.body, URL_);
    await room.leave();
    await settle();
    expect(call.joinedWith).toBeNull();
    expect(heard).toEqual([]);
  });
});

describe("in the room", () => {
  beforeEach(joined);

  it("knows the face by its id, and greets it once", () => {
    call.tell("participant-joined", {
      participant: { local: false, user_id: "somebody" },
    });
    expect(heard).toEqual([]);
    call.tell("participant-joined", { participant: face });
    call.tell("participant-updated", { participant: face });
    expect(heard).toEqual(["face"]);
  });

  it("tells what the microphone and camera do now", () => {
    room.setMicrophone(false);
    room.setCamera(true);
    call.tell("participant-updated", { participant: me });
    expect(heard).toEqual([
      ["microphone", false],
      ["camera", true],
    ]);
  });

  it.each([{ event_type: "a" }, '{"event_type":"a"}'])(
    "hears a message that is %j",
    (data) => {
      call.tell("app-message", { data, fromId: "x" });
      expect(heard).toEqual([{ event_type: "a" }]);
    },
  );

  it("sends to everybody", () => {
    room.send({ event_type: "a" });
    expect(call.sent).toEqual([[{ event_type: "a" }, "*"]]);
  });

  it.each([
    [{ type: "permissions", blockedMedia: ["audio"] }, "microphone_denied"],
    [{ type: "permissions", blockedMedia: ["video"] }, "camera_denied"],
    [
      { type: "permissions", blockedMedia: ["video", "audio"] },
      "microphone_denied",
    ],
    [{ type: "not-found", missingMedia: ["video"] }, "camera_denied"],
    [{ type: "constraints", failedMedia: ["audio"] }, "microphone_denied"],
    [{ type: "cam-in-use" }, "camera_denied"],
    [{ type: "mic-in-use" }, "microphone_denied"],
    [{ type: "undefined-mediadevices" }, "microphone_denied"],
  ])("%j is %s", (error, kind) => {
    call.tell("camera-error", { error: { msg: "no", ...error } });
    expect(heard).toEqual([["denied", kind]]);
  });

  it.each([
    ["ejected", "left"],
    ["exp-room", "left"],
    ["no-room", "left"],
    ["meeting-full", ["failed", "room_full", "why"]],
    ["nbf-room", ["failed", "room_not_allowed", "why"]],
    ["exp-token", ["failed", "room_not_allowed", "why"]],
    ["not-allowed", ["failed", "room_not_allowed", "why"]],
    ["connection-error", ["failed", "room_network", "why"]],
    ["end-of-life", ["failed", "room_network", "why"]],
  ])("the error %s is %j", (type, told) => {
    call.tell("error", { errorMsg: "why", error: { type, msg: "why" } });
    call.tell("left-meeting");
    expect(heard).toEqual([told]);
  });

  it("an error without a type is the network's", () => {
    call.tell("error", { errorMsg: "why" });
    expect(heard).toEqual([["failed", "room_network", "why"]]);
  });

  it("is over when the meeting is", () => {
    call.tell("left-meeting");
    expect(heard).toEqual(["left"]);
  });

  it("is destroyed on leaving, and silent from then on", async () => {
    await room.leave();
    call.tell("left-meeting");
    call.tell("app-message", { data: { event_type: "a" } });
    call.tell("participant-joined", { participant: face });
    expect(call.destroyed).toBe(1);
    expect(heard).toEqual([]);
  });
});

it("fails when the frame does not load, and waits for one that did", async () => {
  vi.useFakeTimers();
  await join();
  await vi.advanceTimersByTimeAsync(20_000);
  expect(heard).toEqual([
    ["failed", "room_network", "The room did not answer."],
  ]);
  heard.length = 0;
  room = roomOfCall();
  await join();
  call.tell("loaded");
  await vi.advanceTimersByTimeAsync(600_000); // somebody who takes their time
  expect(heard).toEqual([]);
  vi.useRealTimers();
});

it("is gone soon when the frame does not say goodbye", async () => {
  vi.useFakeTimers();
  await joined();
  document.body.append(call.frame);
  call.goodbye = new Promise(() => undefined);
  const left = room.leave();
  await vi.advanceTimersByTimeAsync(2_999);
  expect(call.frame.isConnected).toBe(true);
  await vi.advanceTimersByTimeAsync(1);
  await left;
  expect(call.frame.isConnected).toBe(false);
  vi.useRealTimers();
});

it("sends nothing before it is in", async () => {
  await join();
  room.send({ event_type: "a" });
  expect(call.sent).toEqual([]);
});
