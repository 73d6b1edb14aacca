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
  type LiveKitStarted,
  type Options,
} from "./api";
import type { Limits } from "./session";
import type { StreamListener } from "./stream";

export type OpenStream = (listener: StreamListener) => { close: () => void };

export interface Way {
  /** What still runs, from before this page was loaded. */
  running: () => Promise<Conversation[]>;
  create: (options: Options) => Promise<Conversation>;
  state: (id: string) => Promise<ConversationState>;
  /** Answers when the conversation is really over. */
  end: (id: string) => Promise<unknown>;
  openStream: OpenStream;
  /** Whether the graph wants to hear from us what is said in the room. */
  relays: boolean;
  /** Whether several tabs can be in one room. */
  shared: boolean;
  /** What the other side takes; null where it says so itself. */
  takes: readonly string[] | null;
  /** What says something in writing. */
  typed: (id: string, text: string) => object;
  /** Where people wait less long, or longer, than usual. */
  limits: Limits;
}

/** Conversations in rooms of Tavus. */
export function tavusWay(api: Api, openStream: OpenStream): Way {
  return {
    running: () => api.running(),
    create: (options) => api.create(options),
    state: (id) => api.state(id),
    end: (id) => api.end(id),
    openStream,
    relays: true,
    shared: true,
    takes: ["text"],
    typed: (id, text) => ({
      message_type: "conversation",
      event_type: "conversation.respond",
      conversation_id: id,
      properties: { text },
    }),
    limits: {},
  };
}

/** Conversations in rooms of LiveKit, where everybody is in the room. */
export function liveKitWay(api: Api): Way {
  const ended = new Map<string, LiveKitEnded>();
  const seen = new Set<string>();
  const made = (room: LiveKitStarted): Conversation => {
    seen.add(room.room_name);
    const url = new URL(room.livekit_url);
    url.searchParams.set("t", room.user_token);
    return {
      ...known(room.room_name),
      join_url: url.href,
      age_ms: room.age_ms,
    };
  };
  const running = async () => (await api.rooms()).map(made);
  const known = (name: string): Conversation => ({
    conversation_id: name,
    conversation_url: "",
    join_url: "",
  });
  return {
    running,
    create: async () => {
      // Started in another tab since this one looked: it is not taken over
      // without a word.
      const [other] = await running();
      if (other) return { ...other, elsewhere: true };
      return made(await api.startRoom());
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
    // Nothing is told beside the room: begin at once.
    openStream: (listener) => {
      let open = true;
      queueMicrotask(() => {
        if (open) listener.event("ready", { conversation_ids: [...seen] });
      });
      return {
        close: () => {
          open = false;
        },
      };
    },
    relays: false,
    shared: false,
    takes: null,
    typed: (_id, text) => ({ type: "text", text }),
    // The server tries twice, 30 s each unless told otherwise, and tells.
    limits: { waiting: 90_000 },
  };
}
