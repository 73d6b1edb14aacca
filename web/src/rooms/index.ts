//
// This file is part of TEN Framework, an open source project.
// Licensed under the Apache License, Version 2.0.
// See the LICENSE file for more information.
//
/** Which room a URL needs. */
import { DailyRoom } from "./dailyRoom";
import { FrameRoom } from "./frameRoom";
import { LiveKitRoom } from "./livekitRoom";
import type { Room, RoomListener } from "./room";

export type MakeRoom = (url: URL, listener: RoomListener) => Room;

export const makeRoom: MakeRoom = (url, listener) => {
  if (isLiveKit(url)) return new LiveKitRoom(listener);
  return url.hostname.endsWith(".daily.co")
    ? new DailyRoom(listener)
    : new FrameRoom(listener);
};

function isLiveKit({ protocol }: URL): boolean {
  return protocol === "wss:" || protocol === "ws:";
}

/** The URL of a room; null where it is none that the page may open. */
export function roomUrl(text: string): URL | null {
  if (!URL.canParse(text)) return null;
  const url = new URL(text);
  const web = url.protocol === "https:" || url.protocol === "http:";
  return web || isLiveKit(url) ? url : null;
}

/** Whether a room's URL lets anybody in who has it. */
export function isPrivate(joinUrl: string): boolean {
  return roomUrl(joinUrl)?.searchParams.has("t") ?? true;
}
