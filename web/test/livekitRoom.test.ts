//
// This file is part of TEN Framework, an open source project.
// Licensed under the Apache License, Version 2.0.
// See the LICENSE file for more information.
//
/** Tests of livekitRoom.ts, with a connection that the test speaks for. */
import {
  ConnectionError,
  ConnectionErrorReason,
  ConnectionState,
  DisconnectReason,
  RoomEvent,
} from "livekit-client";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { LiveKitRoom, type LiveKit } from "../src/rooms/livekitRoom";
import { listening, settle } from "./fakes";

const ROOM = new URL("ws://127.0.0.1:7880/?t=secret");

class FakeTrack {
  readonly element: HTMLMediaElement;
  constructor(readonly kind: "audio" | "video") {
    this.element = document.createElement(kind);
  }
  attach() {
    return this.element;
  }
  detach() {
    return [this.element];
  }
}

/** LiveKit's room, as far as ours uses it. */
class FakeConnection {
  readonly handlers = new Map<string, (...event: unknown[]) => void>();
  readonly sent: unknown[] = [];
  readonly localParticipant = {
    isMicrophoneEnabled: false,
    isCameraEnabled: false,
    setMicrophoneEnabled: (on: boolean) => {
      if (refuseDevice) return Promise.reject(refuseDevice);
      this.localParticipant.isMicrophoneEnabled = on;
      return Promise.resolve();
    },
    setCameraEnabled: (on: boolean) => {
      this.localParticipant.isCameraEnabled = on;
      return Promise.resolve();
    },
    publishData: (packet: Uint8Array, { topic }: { topic: string }) => {
      this.sent.push([topic, new TextDecoder().decode(packet)]);
      return Promise.resolve();
    },
  };
  canPlaybackAudio = true;
  started = 0;
  connectedTo: unknown[] = [];
  left = 0;

  on(name: string, handler: (...event: unknown[]) => void) {
    this.handlers.set(name, handler);
    return this;
  }
  connect(...where: unknown[]) {
    this.connectedTo = where;
    return refuse ? Promise.reject(refuse) : Promise.resolve();
  }
  disconnect() {
    this.left += 1;
    return Promise.resolve();
  }
  startAudio() {
    this.started += 1;
    return Promise.resolve();
  }
  tell(name: string, ...event: unknown[]) {
    this.handlers.get(name)?.(...event);
  }
}

let connection: FakeConnection;
let refuse: Error | null;
let refuseDevice: Error | null;
let heard: unknown[];
let room: LiveKitRoom;
let stage: HTMLElement;

beforeEach(() => {
  vi.useFakeTimers();
  heard = [];
  refuse = refuseDevice = null;
  stage = document.createElement("div");
  room = new LiveKitRoom(
    {
      ...listening(heard),
      message: ({ event_type: type }) => heard.push(["message", type]),
    },
    () =>
      Promise.resolve({
        Room: function make() {
          return (connection = new FakeConnection());
        },
        RoomEvent,
        DisconnectReason,
        ConnectionError,
        ConnectionErrorReason,
        setLogLevel: () => undefined,
      } as unknown as LiveKit),
  );
});
afterEach(() => {
  vi.useRealTimers();
});

const avatar = { isAgent: true, identity: "avatar" };
const REPLACED = { replaced: true };

async function join(): Promise<void> {
  room.join(stage, ROOM);
  await settle();
}

function subscribe(track: FakeTrack, who: object = avatar): void {
  connection.tell(RoomEvent.TrackSubscribed, track, {}, who);
}

function face(): FakeTrack {
  const video = new FakeTrack("video");
  subscribe(video);
  video.element.dispatchEvent(new Event("loadeddata"));
  return video;
}

function say(message: object, topic = "ten"): void {
  const packet = new TextEncoder().encode(JSON.stringify(message));
  connection.tell(RoomEvent.DataReceived, packet, undefined, 0, topic);
}

describe("joining", () => {
  it("takes the key out of the address, and opens the microphone", async () => {
    await join();
    expect(connection.connectedTo).toEqual(["ws://127.0.0.1:7880/", "secret"]);
    expect(heard).toEqual(["joined", ["microphone", true]]);
  });

  it("says who was refused", async () => {
    refuse = ConnectionError.notAllowed("no permission", 401);
    await join();
    expect(heard).toEqual([
      ["failed", "room_not_allowed", expect.stringContaining("no permission")],
    ]);
  });

  it("says that the server is away", async () => {
    refuse = ConnectionError.serverUnreachable("nobody there");
    await join();
    expect(heard).toEqual([
      ["failed", "room_network", expect.stringContaining("nobody there")],
    ]);
  });

  it("goes on without a microphone", async () => {
    refuseDevice = new DOMException("no", "NotAllowedError");
    await join();
    expect(heard).toEqual([
      "joined",
      ["denied", "microphone_denied"],
      ["microphone", false],
    ]);
    refuseDevice = null;
    room.setMicrophone(true);
    await settle();
    expect(heard.at(-1)).toEqual(["microphone", true]);
  });

  it("does not join after it has left", async () => {
    room.join(stage, ROOM);
    await room.leave();
    await settle();
    expect(heard).toEqual([]);
  });
});

describe("the face", () => {
  it("has joined when its picture is there", async () => {
    await join();
    const video = new FakeTrack("video");
    subscribe(video);
    expect(heard).not.toContain("face");
    video.element.dispatchEvent(new Event("loadeddata"));
    expect(heard.at(-1)).toBe("face");
    expect(stage.children).toHaveLength(1);
    subscribe(new FakeTrack("audio"));
    expect(stage.children).toHaveLength(2);
  });

  it("is gone when the server has lost it, and back when it has it", async () => {
    await join();
    face();
    const told = RoomEvent.ConnectionQualityChanged;
    connection.tell(told, "lost", { identity: "ten-rtc" });
    expect(heard.at(-1)).toBe("face");
    connection.tell(told, "lost", avatar);
    expect(heard.at(-1)).toBe("face left");
    connection.tell(told, "excellent", avatar);
    expect(heard.at(-1)).toBe("face");
  });

  it("is nobody who is a user", async () => {
    await join();
    subscribe(new FakeTrack("video"), { isAgent: false });
    expect(stage.children).toHaveLength(0);
  });

  it("is gone when its picture is, and may come back", async () => {
    await join();
    const first = face();
    connection.tell(RoomEvent.TrackUnsubscribed, first);
    expect(stage.children).toHaveLength(0);
    expect(heard.at(-1)).toBe("face left");
    face();
    expect(heard.at(-1)).toBe("face");
  });

  it("may be replaced by another, though the first is still there", async () => {
    await join();
    face();
    say({ event_type: "tavus_conversation_ended", properties: REPLACED });
    expect(heard.at(-1)).toBe("face left");
    say({ event_type: "tavus_conversation_created" });
    expect(heard.at(-1)).toBe("face sent");
    face();
    expect(heard.at(-1)).toBe("face");
    expect(heard).not.toContain("left");
  });

  it("takes the visit with it when no other comes, and says why", async () => {
    await join();
    face();
    const why = { reason: "max_call_duration reached", duration_ms: 9000 };
    say({ event_type: "tavus_conversation_ended", properties: why });
    const { reason } = why;
    expect(heard.at(-1)).toEqual(["left", { reason, durationMs: 9000 }]);
  });
});

describe("messages", () => {
  it("of the graph reach the page, others do not", async () => {
    await join();
    heard.length = 0;
    say({ event_type: "conversation.utterance" });
    say({ event_type: "x" }, "lk.chat");
    connection.tell(
      RoomEvent.DataReceived,
      new Uint8Array([255, 1]),
      undefined,
      0,
      "ten",
    );
    expect(heard).toEqual([["message", "conversation.utterance"]]);
  });

  it("of the page go to the graph", async () => {
    await join();
    room.send({ type: "interrupt" });
    expect(connection.sent).toEqual([["ten", '{"type":"interrupt"}']]);
  });

  it("of the agent say what it takes", async () => {
    await join();
    say({ event_type: "agent_ready", properties: { takes: ["text"] } });
    expect(heard.at(-1)).toEqual(["takes", "text"]);
  });

  const trouble = (how: object) => ({
    event_type: "error",
    properties: { kind: "avatar", detail: "no face", ...how },
  });

  it("of a first face that did not come wait for the second", async () => {
    await join();
    say(trouble({ retrying: true }));
    expect(heard.at(-1)).toEqual(["trouble", "avatar"]);
    expect(heard).not.toContainEqual(expect.arrayContaining(["failed"]));
  });

  it("of a face that is given up end the visit", async () => {
    await join();
    say(trouble({ retrying: false }));
    expect(heard.at(-1)).toEqual(["failed", "avatar", "no face"]);
  });

  it("of trouble with a face that is there are only told", async () => {
    await join();
    face();
    say(trouble({ retrying: false }));
    expect(heard.at(-1)).toEqual(["trouble", "avatar"]);
    say(trouble({ fatal: true }));
    expect(heard.at(-1)).toEqual(["failed", "avatar", "no face"]);
  });
});

describe("the connection", () => {
  it("may be lost for a while", async () => {
    await join();
    const state = RoomEvent.ConnectionStateChanged;
    connection.tell(state, ConnectionState.Reconnecting);
    connection.tell(state, ConnectionState.Connected);
    expect(heard.slice(-2)).toEqual([
      ["link", false],
      ["link", true],
    ]);
  });

  it.each([
    [DisconnectReason.ROOM_DELETED, "left"],
    [DisconnectReason.PARTICIPANT_REMOVED, "left"],
    [DisconnectReason.DUPLICATE_IDENTITY, "taken"],
    [
      DisconnectReason.STATE_MISMATCH,
      ["failed", "room_network", "STATE_MISMATCH"],
    ],
  ])("ends with reason %s", async (reason, told) => {
    await join();
    connection.tell(RoomEvent.Disconnected, reason);
    expect(heard.at(-1)).toEqual(told);
    connection.tell(RoomEvent.Disconnected, reason);
    expect(heard.filter((one) => one === told)).toHaveLength(
      typeof told === "string" ? 1 : 0,
    );
  });

  it("is closed when we leave, and says nothing more", async () => {
    await join();
    face();
    heard.length = 0;
    await room.leave();
    connection.tell(RoomEvent.Disconnected, DisconnectReason.CLIENT_INITIATED);
    say({ event_type: "conversation.utterance" });
    expect(connection.left).toBe(1);
    expect(stage.children).toHaveLength(0);
    expect(heard).toEqual([]);
  });

  it("that ends because the page is left is no end of the call", async () => {
    await join();
    heard.length = 0;
    connection.tell(RoomEvent.Disconnected, DisconnectReason.CLIENT_INITIATED);
    expect(heard).toEqual([]);
  });

  it("plays sound at the next press where the browser wants one", async () => {
    await join();
    connection.canPlaybackAudio = false;
    connection.tell(RoomEvent.AudioPlaybackStatusChanged);
    dispatchEvent(new Event("pointerdown"));
    dispatchEvent(new Event("pointerdown"));
    expect(connection.started).toBe(1);
    expect(heard.at(-1)).toEqual(["sound", false]);
    connection.canPlaybackAudio = true;
    connection.tell(RoomEvent.AudioPlaybackStatusChanged);
    expect(heard.at(-1)).toEqual(["sound", true]);
  });
});
