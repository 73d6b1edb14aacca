//
// This file is part of TEN Framework, an open source project.
// Licensed under the Apache License, Version 2.0.
// See the LICENSE file for more information.
//
/** The two ways to a conversation: Tavus's own rooms, and those of LiveKit. */
import {
  ApiError,
  type Api,
  type Conversation,
  type ConversationState,
  type LiveKitEnded,
  type Options,
} from "./api";
import type { StreamListener } from "./stream";

export type OpenStream = (listener: StreamListener) => { close: () => void };

export interface Way {
  /** What still runs, from before this page was loaded. */
  running: () => Promise<Conversation[]>;
  create: (options: Options) => Promise<Conversation>;
  state: (id: string) => Promise<ConversationState>;
  /** Answers when the conversation is really over. */
  end: (id: string) => Promise<unknown>;
  /** Ends it although nobody waits for the answer: the page closes. */
  abandon: (id: string) => void;
  openStream: OpenStream;
  /** Whether the graph wants to hear from us what is said in the room. */
  relays: boolean;
}

/** Conversations in rooms of Tavus; closing the stream abandons them. */
export function tavusWay(api: Api, openStream: OpenStream): Way {
  return {
    running: () => api.running(),
    create: (options) => api.create(options),
    state: (id) => api.state(id),
    end: (id) => api.end(id),
    abandon: () => undefined,
    openStream,
    relays: true,
  };
}

/** Conversations in rooms of LiveKit, where everybody is in the room. */
export function liveKitWay(api: Api): Way {
  const ended = new Map<string, LiveKitEnded>();
  const known = (name: string): Conversation => ({
    conversation_id: name,
    conversation_url: "",
    join_url: "",
  });
  return {
    running: () => Promise.resolve([]),
    create: async () => {
      const made = await api.startRoom();
      const url = new URL(made.livekit_url);
      url.searchParams.set("t", made.user_token);
      return { ...known(made.room_name), join_url: url.href };
    },
    state: (name) => {
      const end = ended.get(name);
      return end
        ? Promise.resolve({
            ...known(name),
            status: "ended",
            reason: end.reason,
            duration_ms: end.duration_ms,
          })
        : Promise.reject(new ApiError({ kind: "not_found", detail: "" }, 404));
    },
    end: async (name) => {
      ended.set(name, await api.stopRoom(name));
    },
    abandon: (name) => {
      api.stopRoom(name, true).catch(() => undefined);
    },
    // Nothing is told beside the room: begin at once.
    openStream: (listener) => {
      let open = true;
      queueMicrotask(() => {
        if (open) listener.event("ready", { conversation_ids: [] });
      });
      return {
        close: () => {
          open = false;
        },
      };
    },
    relays: false,
  };
}
