//
// This file is part of TEN Framework, an open source project.
// Licensed under the Apache License, Version 2.0.
// See the LICENSE file for more information.
//
/**
 * The states of one visit, as a pure function: what happens, and what to do.
 *
 * Whatever happens, a conversation that this page knows of is asked to end
 * before the page forgets it, because it is billed while it runs.
 */
import type { Conversation, Options, Problem } from "./api";

export type State =
  | { name: "loading" }
  | { name: "idle" }
  /** `posted`: the stream is open and create is under way. */
  | { name: "creating"; options: Options; posted: boolean; over: Over[] }
  | { name: "joining" | "waiting" | "live"; conversation: Conversation }
  /** `problem`: why; `asked`: we ended it, not somebody else. */
  | {
      name: "ending";
      conversation: Conversation | null;
      asked: boolean;
      problem: Problem | null;
    }
  | { name: "ended"; reason: string; durationMs: number | null }
  /** `conversation`: one that may still be running. */
  | { name: "failed"; problem: Problem; conversation: Conversation | null };

/** A conversation that is over. */
export interface Over {
  id: string;
  reason: string;
  durationMs: number | null;
}

export type Happening =
  | { type: "loaded"; running: Conversation | null }
  | { type: "load_failed"; problem: Problem }
  | { type: "start"; options: Options }
  | { type: "ready"; ids: string[] }
  | { type: "stream_failed"; problem: Problem; final: boolean }
  | { type: "created"; conversation: Conversation }
  | { type: "create_failed"; problem: Problem }
  | { type: "room_joined" }
  | { type: "face_joined" }
  | { type: "room_left" }
  | { type: "room_failed"; problem: Problem }
  | { type: "leave" }
  | { type: "over"; over: Over }
  | { type: "end_overdue" }
  | { type: "end_failed"; problem: Problem }
  | { type: "reset" };

export type Act =
  | { do: "open_stream" | "close_stream" | "leave_room" }
  | { do: "create"; options: Options }
  | { do: "join"; conversation: Conversation }
  /** Ask whether it still runs; answer "over" if not. */
  | { do: "check"; id: string }
  /** Somebody else ended it: give the event a moment, then "end_overdue". */
  | { do: "await_end" }
  | { do: "end"; id: string };

export interface Step {
  state: State;
  acts: Act[];
}

const CLOSE: Act[] = [{ do: "leave_room" }, { do: "close_stream" }];

/** What follows from a happening; the same state where nothing does. */
export function step(state: State, now: Happening): Step {
  const stay: Step = { state, acts: [] };
  switch (now.type) {
    case "loaded":
      if (state.name !== "loading") return stay;
      if (!now.running) return to({ name: "idle" });
      return to({ name: "joining", conversation: now.running }, [
        { do: "open_stream" },
        { do: "join", conversation: now.running },
      ]);
    case "load_failed":
      if (state.name !== "loading") return stay;
      return failed(now.problem);
    case "start":
      if (!isAtRest(state)) return stay;
      return to(
        { name: "creating", options: now.options, posted: false, over: [] },
        [{ do: "open_stream" }],
      );
    case "ready":
      return ready(state, now.ids);
    case "stream_failed":
      if (state.name === "creating" && !state.posted)
        return failed(now.problem, CLOSE);
      if (!now.final || isAtRest(state) || state.name === "loading")
        return stay;
      return abandoned(state, now.problem);
    case "created":
      return created(state, now.conversation);
    case "create_failed":
      if (state.name === "creating") return failed(now.problem, CLOSE);
      if (state.name === "ending" && !state.conversation)
        return state.problem
          ? failed(state.problem, CLOSE)
          : to({ name: "idle" }, CLOSE);
      return stay;
    case "room_joined":
      return state.name === "joining"
        ? to({ name: "waiting", conversation: state.conversation })
        : stay;
    case "face_joined":
      return state.name === "joining" || state.name === "waiting"
        ? to({ name: "live", conversation: state.conversation })
        : stay;
    case "room_left":
      if (!isInRoom(state)) return stay;
      return to(
        {
          name: "ending",
          conversation: state.conversation,
          asked: false,
          problem: null,
        },
        [{ do: "leave_room" }, { do: "await_end" }],
      );
    case "room_failed":
      return isInRoom(state) ? abandoned(state, now.problem) : stay;
    case "leave":
      return leave(state);
    case "over":
      return over(state, now.over);
    case "end_overdue":
      if (state.name !== "ending" || state.asked || !state.conversation)
        return stay;
      return to({ ...state, asked: true }, [end(state.conversation)]);
    case "end_failed":
      if (state.name !== "ending") return stay;
      // Closing the stream is another way to end it: the server notices.
      return to(
        {
          name: "failed",
          problem: { ...now.problem, kind: "not_ended" },
          conversation: state.conversation,
        },
        CLOSE,
      );
    case "reset":
      return state.name === "ended" || state.name === "failed"
        ? to({ name: "idle" })
        : stay;
  }
}

/** Whether the room is, or should be, on screen. */
export function isInRoom(
  state: State,
): state is Extract<State, { name: "joining" | "waiting" | "live" }> {
  return (
    state.name === "joining" ||
    state.name === "waiting" ||
    state.name === "live"
  );
}

function isAtRest(state: State): boolean {
  return (
    state.name === "idle" || state.name === "ended" || state.name === "failed"
  );
}

function to(state: State, acts: Act[] = []): Step {
  return { state, acts };
}

function failed(problem: Problem, acts: Act[] = []): Step {
  return to({ name: "failed", problem, conversation: null }, acts);
}

function end(conversation: Conversation): Act {
  return { do: "end", id: conversation.conversation_id };
}

function ready(state: State, ids: string[]): Step {
  if (state.name === "creating" && !state.posted)
    return to({ ...state, posted: true }, [
      { do: "create", options: state.options },
    ]);
  if (!isInRoom(state) && state.name !== "ending") return { state, acts: [] };
  const id = state.conversation?.conversation_id;
  // Asked for rather than believed: this list may be older than the answer
  // to create, and only the server knows the reason.
  return id === undefined || ids.includes(id)
    ? { state, acts: [] }
    : to(state, [{ do: "check", id }]);
}

function created(state: State, conversation: Conversation): Step {
  if (state.name === "creating") {
    const id = conversation.conversation_id;
    const past = state.over.find((one) => one.id === id);
    if (past)
      return to(
        { name: "ended", reason: past.reason, durationMs: past.durationMs },
        CLOSE,
      );
    return to({ name: "joining", conversation }, [
      { do: "join", conversation },
    ]);
  }
  // Nobody waits for it any more.
  if (state.name === "ending" && !state.conversation)
    return to({ ...state, conversation, asked: true }, [end(conversation)]);
  return to(state, [end(conversation)]);
}

function leave(state: State): Step {
  if (state.name === "creating" && !state.posted)
    return to({ name: "idle" }, CLOSE);
  if (state.name === "creating")
    return to({
      name: "ending",
      conversation: null,
      asked: true,
      problem: null,
    });
  const conversation =
    isInRoom(state) || state.name === "failed" ? state.conversation : null;
  if (!conversation) return { state, acts: [] };
  return to({ name: "ending", conversation, asked: true, problem: null }, [
    { do: "leave_room" },
    end(conversation),
  ]);
}

/** The visit cannot go on: end the conversation, then show the problem. */
function abandoned(state: State, problem: Problem): Step {
  if (state.name === "creating")
    return to({ name: "ending", conversation: null, asked: true, problem });
  if (state.name === "ending") return to({ ...state, problem });
  if (!isInRoom(state)) return { state, acts: [] };
  return to(
    {
      name: "ending",
      conversation: state.conversation,
      asked: true,
      problem,
    },
    [{ do: "leave_room" }, end(state.conversation)],
  );
}

function over(state: State, past: Over): Step {
  if (state.name === "creating")
    return to({ ...state, over: [...state.over, past] });
  const mine =
    isInRoom(state) || state.name === "ending" || state.name === "failed"
      ? state.conversation
      : null;
  if (mine?.conversation_id !== past.id) return { state, acts: [] };
  if (state.name === "ending" && state.problem)
    return failed(state.problem, CLOSE);
  return to(
    { name: "ended", reason: past.reason, durationMs: past.durationMs },
    CLOSE,
  );
}
