//
// This file is part of TEN Framework, an open source project.
// Licensed under the Apache License, Version 2.0.
// See the LICENSE file for more information.
//
/** Which room a URL needs. */
import { DailyRoom } from "./dailyRoom";
import { FrameRoom } from "./frameRoom";
import type { Room, RoomListener } from "./room";

export type MakeRoom = (url: URL, listener: RoomListener) => Room;

export const makeRoom: MakeRoom = (url, listener) =>
  url.hostname.endsWith(".daily.co")
    ? new DailyRoom(listener)
    : new FrameRoom(listener);

/** The URL of a room; null where it is none that a frame may open. */
export function roomUrl(text: string): URL | null {
  if (!URL.canParse(text)) return null;
  const url = new URL(text);
  return url.protocol === "https:" || url.protocol === "http:" ? url : null;
}

/** Whether a room's URL lets anybody in who has it. */
export function isPrivate(joinUrl: string): boolean {
  return roomUrl(joinUrl)?.searchParams.has("t") ?? true;
}
