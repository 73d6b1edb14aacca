//
// This file is part of TEN Framework, an open source project.
// Licensed under the Apache License, Version 2.0.
// See the LICENSE file for more information.
//
/** What the page needs of a room, whoever hosts it. */
import type { Problem } from "../api";

/** A message of Tavus's interactions protocol, as the room broadcasts it. */
export interface AppMessage {
  event_type: string;
  message_type?: string;
  conversation_id?: string;
  properties?: Record<string, unknown>;
  [field: string]: unknown;
}

export interface RoomListener {
  joined: () => void;
  /** A face is on its way; the one before, if any, will not come. */
  faceSent: () => void;
  faceJoined: () => void;
  /** It may come back, or another in its place. */
  faceLeft: () => void;
  message: (message: AppMessage) => void;
  microphone: (on: boolean) => void;
  camera: (on: boolean) => void;
  /** What the other side understands: "interrupt", "text". */
  takes: (what: readonly string[]) => void;
  /** Whether the browser plays its sound; some want a press first. */
  sound: (on: boolean) => void;
  /** The room goes on without a microphone or camera. */
  denied: (problem: Problem) => void;
  /** Something went wrong on the server, and is being tried again. */
  trouble: (problem: Problem) => void;
  /** The connection is lost, and being made again; or it is there again. */
  link: (up: boolean) => void;
  /** It is over, and not because we left; `past`: why, where that is known. */
  left: (past?: { reason: string; durationMs: number | null }) => void;
  /** Another tab of ours is in it, in our place. */
  taken: () => void;
  /** It cannot go on. Nothing else is told after this. */
  failed: (problem: Problem) => void;
}

export interface Room {
  /**
   * Puts the room into the container and joins it, the microphone on and the
   * camera off.
   */
  join: (container: HTMLElement, url: URL) => void;
  setMicrophone: (on: boolean) => void;
  setCamera: (on: boolean) => void;
  send: (message: object) => void;
  /** Leaves and takes the room out of the container. */
  leave: () => Promise<void>;
}

/** The message in what a room delivered, which may be JSON text; or null. */
export function appMessage(data: unknown): AppMessage | null {
  let value = data;
  if (typeof data === "string") {
    try {
      value = JSON.parse(data);
    } catch {
      return null; // the room's chat, say
    }
  }
  if (typeof value !== "object" || value === null) return null;
  return "event_type" in value && typeof value.event_type === "string"
    ? (value as AppMessage)
    : null;
}
