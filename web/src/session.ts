//
// This file is part of TEN Framework, an open source project.
// Licensed under the Apache License, Version 2.0.
// See the LICENSE file for more information.
//
/**
 * The states of one visit, as a pure function: what happens, and what to do.
 *
 * Whatever happens, a conversation that this page knows of is asked to end
 * before the page forgets it, because it is billed while it runs. No state in
 * which a person waits is without a limit: see LIMITS_MS.
 */
import type { Conversation, Options, Problem } from "./api";

export type State =
  | { name: "loading" }
  | { name: "idle" }
  /** `posted`: the stream is open and create is under way. */
  | { name: "creating"; options: Options; posted: boolean; over: Over[] }
  /** `away`: the face was there, is gone, and may come back. */
  | {
      name: "joining" | "waiting" | "live" | "away";
      conversation: Conversation;
    }
  /** It goes on in another tab of this browser. */
  | { name: "elsewhere"; conversation: Conversation }
  /** `problem`: why; `asked`: we ended it, not somebody else. */
  | {
      name: "ending";
      conversation: Conversation | null;
      asked: boolean;
      problem: Problem | null;
    }
  | { name: "ended"; reason: string; durationMs: number | null }
  /**
   * `conversation`: one that may still be running; `cause`: what to show when
   * it is known to be over.
   */
  | {
      name: "failed";
      problem: Problem;
      conversation: Conversation | null;
      cause: Problem | null;
    };

/** A conversation that is over. */
export interface Over {
  id: string;
  reason: string;
  durationMs: number | null;
}

export type Happening =
  | { type: "loaded"; running: Conversation | null; mine: boolean }
  | { type: "load_failed"; problem: Problem }
  | { type: "start"; options: Options }
  | { type: "ready"; ids: string[] }
  | { type: "stream_failed"; problem: Problem; final: boolean }
  | { type: "created"; conversation: Conversation }
  | { type: "create_failed"; problem: Problem }
  | { type: "room_joined" }
  | { type: "face_sent" }
  | { type: "face_joined" }
  | { type: "face_left" }
  /** `past`: why it is over, where the room knows. */
  | { type: "room_left"; past: Omit<Over, "id"> | null }
  | { type: "room_failed"; problem: Problem }
  | { type: "room_taken" }
  | { type: "take" }
  | { type: "leave" }
  | { type: "over"; over: Over }
  | { type: "end_overdue" }
  | { type: "end_failed"; problem: Problem }
  /** The limit of a state has passed; `detail`: the last that was heard. */
  | { type: "overdue"; detail: string }
  | { type: "reset" };

export type Act =
  | { do: "open_stream" | "close_stream" | "leave_room" }
  | { do: "create"; options: Options }
  | { do: "join"; conversation: Conversation }
  /** Join what another tab of ours is in, with a key of our own. */
  | { do: "rejoin"; id: string }
  /** Ask whether it still runs; answer "over" if not. */
  | { do: "check"; id: string }
  /** Somebody else ended it: give the event a moment, then "end_overdue". */
  | { do: "await_end" }
  | { do: "end"; id: string };

export interface Step {
  state: State;
  acts: Act[];
}

/** How long a person waits in a state, at most; then comes "overdue". */
export type Limits = Partial<Record<State["name"], number>>;

export const LIMITS_MS: Limits = {
  // The server waits up to 60 s for the graph, unless told otherwise.
  creating: 70_000,
  joining: 40_000,
  // A face that was not kept warm takes up to minutes: tavus-cli waits 300 s.
  waiting: 300_000,
  away: 90_000,
  ending: 8_000,
};

const CLOSE: Act[] = [{ do: "leave_room" }, { do: "close_stream" }];

/** What follows from a happening; the same state where nothing does. */
export function step(state: State, now: Happening): Step {
  const stay: Step = { state, acts: [] };
  switch (now.type) {
    case "loaded":
      if (state.name !== "loading") return stay;
      if (!now.running) return to({ name: "idle" });
      if (!now.mine)
        return to({ name: "elsewhere", conversation: now.running });
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
    case "face_sent":
      // The wait for the face begins anew.
      return state.name === "waiting" || state.name === "away"
        ? to({ ...state })
        : stay;
    case "face_joined":
      return isInRoom(state) && state.name !== "live"
        ? to({ name: "live", conversation: state.conversation })
        : stay;
    case "face_left":
      return state.name === "live"
        ? to({ name: "away", conversation: state.conversation })
        : stay;
    case "room_left":
      return isInRoom(state) ? roomLeft(state, now.past) : stay;
    case "room_failed":
      return isInRoom(state) ? abandoned(state, now.problem) : stay;
    case "room_taken":
      return isInRoom(state)
        ? to({ name: "elsewhere", conversation: state.conversation }, CLOSE)
        : stay;
    case "take":
      return state.name === "elsewhere"
        ? to({ name: "joining", conversation: state.conversation }, [
            { do: "open_stream" },
            { do: "rejoin", id: state.conversation.conversation_id },
          ])
        : stay;
    case "leave":
      return leave(state);
    case "over":
      return over(state, now.over);
    case "end_overdue":
      if (state.name !== "ending" || state.asked || !state.conversation)
        return stay;
      return to({ ...state, asked: true }, [end(state.conversation)]);
    case "end_failed":
      return state.name === "ending" ? notEnded(state, now.problem) : stay;
    case "overdue":
      return overdue(state, now.detail);
    case "reset":
      return state.name === "ended" || state.name === "failed"
        ? to({ name: "idle" })
        : stay;
  }
}

/** Whether the room is, or should be, on screen. */
export function isInRoom(
  state: State,
): state is Extract<State, { name: "joining" | "waiting" | "live" | "away" }> {
  return (
    state.name === "joining" ||
    state.name === "waiting" ||
    state.name === "live" ||
    state.name === "away"
  );
}

/** Whether this state waits for that conversation's end. */
export function awaitsEnd(state: State, id: string): boolean {
  return (
    (state.name === "ending" || state.name === "failed") &&
    state.conversation?.conversation_id === id
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
  return to({ name: "failed", problem, conversation: null, cause: null }, acts);
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
  if (conversation.elsewhere) {
    // It is not ours to end: somebody is in it.
    if (state.name === "creating")
      return to({ name: "elsewhere", conversation }, CLOSE);
    return state.name === "ending" && !state.conversation
      ? to({ name: "idle" }, CLOSE)
      : { state, acts: [] };
  }
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

function roomLeft(
  state: Extract<State, { conversation: Conversation }>,
  past: Omit<Over, "id"> | null,
): Step {
  const { conversation } = state;
  // Why is known. The room that is left over needs nobody to wait for it.
  if (past)
    return to({ name: "ended", ...past }, [...CLOSE, end(conversation)]);
  return to({ name: "ending", conversation, asked: false, problem: null }, [
    { do: "leave_room" },
    { do: "await_end" },
  ]);
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
  // Asked to leave twice: whoever presses again waits no longer.
  if (state.name === "ending") return overdue(state, "");
  const conversation =
    isInRoom(state) || state.name === "failed" || state.name === "elsewhere"
      ? state.conversation
      : null;
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

/** A person waited as long as a person waits. */
function overdue(state: State, detail: string): Step {
  switch (state.name) {
    case "creating":
      return abandoned(state, { kind: "timeout", detail });
    case "joining":
      return abandoned(state, { kind: "room_network", detail });
    case "waiting":
      return abandoned(state, { kind: "face_absent", detail });
    case "away":
      return abandoned(state, { kind: "face_gone", detail });
    case "ending":
      return state.conversation
        ? notEnded(state, { kind: "not_ended", detail })
        : failed({ kind: "given_up", detail }, CLOSE);
    default:
      return { state, acts: [] };
  }
}

/** Its end goes on behind; closing the stream is another way to ask for it. */
function notEnded(
  state: Extract<State, { name: "ending" }>,
  { kind, detail }: Problem,
): Step {
  const { conversation, asked, problem: cause } = state;
  const heard = kind !== "offline";
  const problem = { kind: heard ? "not_ended" : "not_asked", detail };
  return to({ name: "failed", problem, conversation, cause }, [
    ...CLOSE,
    ...(conversation && !asked ? [end(conversation)] : []),
  ]);
}

function over(state: State, past: Over): Step {
  if (state.name === "creating")
    return to({ ...state, over: [...state.over, past] });
  const mine =
    isInRoom(state) ||
    state.name === "ending" ||
    state.name === "failed" ||
    state.name === "elsewhere"
      ? state.conversation
      : null;
  if (mine?.conversation_id !== past.id) return { state, acts: [] };
  const cause =
    state.name === "ending"
      ? state.problem
      : state.name === "failed"
        ? state.cause
        : null;
  if (cause) return failed(cause, CLOSE);
  return to(
    { name: "ended", reason: past.reason, durationMs: past.durationMs },
    CLOSE,
  );
}
