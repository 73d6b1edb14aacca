//
// This file is part of TEN Framework, an open source project.
// Licensed under the Apache License, Version 2.0.
// See the LICENSE file for more information.
//
/** Tests of frameRoom.ts: whom it listens to, and what it understands. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { FrameRoom } from "../src/rooms/frameRoom";
import { listening, settle } from "./fakes";

const URL_ = new URL("http://127.0.0.1:9/room/c1?t=x");
let heard: unknown[];
let posted: [message: object, origin: string][];
let room: FrameRoom;
let frame: HTMLIFrameElement;

beforeEach(() => {
  vi.useFakeTimers();
  heard = [];
  posted = [];
  room = new FrameRoom({
    ...listening(heard),
    failed: ({ kind }) => heard.push(["failed", kind]),
  });
  room.join(document.body, URL_);
  const found = document.querySelector("iframe");
  if (!found?.contentWindow) throw new Error("no frame");
  frame = found;
  vi.spyOn(found.contentWindow, "postMessage").mockImplementation(((
    message: object,
    origin: string,
  ) => posted.push([message, origin])) as never);
});
afterEach(() => {
  document.body.replaceChildren();
  vi.useRealTimers();
});

function say(message: object, from: Partial<MessageEventInit> = {}) {
  const init = { origin: URL_.origin, source: frame.contentWindow, ...from };
  const data: unknown = { tavus_room: 1, ...message };
  dispatchEvent(new MessageEvent("message", { data, ...init }));
}

describe("the frame", () => {
  it("shows the room and may use the devices", () => {
    expect(frame.src).toBe(URL_.href);
    expect(frame.title).toBe("Video room");
    expect(frame.allow).toContain("microphone");
  });

  it("is greeted when loaded, at its own origin", () => {
    frame.dispatchEvent(new Event("load"));
    expect(posted).toEqual([[{ tavus_room: 1, type: "hello" }, URL_.origin]]);
  });

  it("is told what the controls do", () => {
    room.setMicrophone(false);
    room.setCamera(true);
    room.send({ event_type: "x" });
    expect(posted.map(([message]) => message)).toEqual([
      { tavus_room: 1, type: "set-microphone", on: false },
      { tavus_room: 1, type: "set-camera", on: true },
      { tavus_room: 1, type: "app-message", message: { event_type: "x" } },
    ]);
  });
});

describe("a message", () => {
  it.each([
    [{ type: "joined" }, "joined"],
    [{ type: "face-joined" }, "face"],
    [{ type: "microphone", on: true }, ["microphone", true]],
    [{ type: "camera", on: false }, ["camera", false]],
    [{ type: "left", reason: "ended" }, "left"],
    [{ type: "error", kind: "ended" }, "left"],
    [{ type: "error", kind: "full" }, ["failed", "room_full"]],
    [{ type: "error", kind: "not_allowed" }, ["failed", "room_not_allowed"]],
    [{ type: "error", kind: "network" }, ["failed", "room_network"]],
    [{ type: "error", kind: "new" }, ["failed", "room_network"]],
    [
      { type: "error", kind: "microphone_denied" },
      ["denied", "microphone_denied"],
    ],
    [{ type: "error", kind: "camera_denied" }, ["denied", "camera_denied"]],
  ])("%j is %j", (message, told) => {
    say(message);
    expect(heard).toEqual([told]);
  });

  it.each([{ event_type: "a" }, '{"event_type":"a"}'])(
    "of the room's people arrives, be it %j",
    (message) => {
      say({ type: "app-message", message });
      expect(heard).toEqual([{ event_type: "a" }]);
    },
  );

  it.each([null, 7, "chat", "{", [1], {}, { event_type: 3 }])(
    "of the room's people that is %j is none",
    (message) => {
      say({ type: "app-message", message });
      expect(heard).toEqual([]);
    },
  );

  it("from elsewhere is not listened to", () => {
    say({ type: "joined" }, { origin: "http://evil.example" });
    say({ type: "joined" }, { source: window });
    say({ type: "joined", tavus_room: 2 });
    say({ type: "nonsense" });
    expect(heard).toEqual([]);
  });
});

it("asks for the microphone once it is in", () => {
  say({ type: "joined" });
  const asked = { tavus_room: 1, type: "set-microphone", on: true };
  expect(posted).toEqual([[asked, URL_.origin]]);
});

it("goes on after a denied microphone", () => {
  say({ type: "error", kind: "microphone_denied" });
  say({ type: "face-joined" });
  expect(heard).toEqual([["denied", "microphone_denied"], "face"]);
});

it("tells one failure, and nothing after it", () => {
  say({ type: "error", kind: "full" });
  say({ type: "error", kind: "network" });
  say({ type: "left" });
  expect(heard).toEqual([["failed", "room_full"]]);
});

it("fails when the frame stays silent, and not when it spoke", () => {
  vi.advanceTimersByTime(20_000);
  expect(heard).toEqual([["failed", "room_network"]]);
});

it("waits for a frame that spoke", () => {
  say({ type: "joined" });
  vi.advanceTimersByTime(60_000);
  expect(heard).toEqual(["joined"]);
});

describe("leaving", () => {
  it("takes the frame away when the room has said goodbye", async () => {
    const left = room.leave();
    expect(posted).toContainEqual([
      { tavus_room: 1, type: "leave" },
      URL_.origin,
    ]);
    await settle();
    expect(document.querySelector("iframe")).not.toBeNull();
    say({ type: "left" });
    await left;
    expect(document.querySelector("iframe")).toBeNull();
    expect(heard).toEqual([]);
  });

  it("takes it away soon when the room says nothing", async () => {
    const left = room.leave();
    await vi.advanceTimersByTimeAsync(500);
    await left;
    expect(document.querySelector("iframe")).toBeNull();
    say({ type: "joined" });
    expect(heard).toEqual([]);
  });
});
