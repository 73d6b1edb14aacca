//
// This file is part of TEN Framework, an open source project.
// Licensed under the Apache License, Version 2.0.
// See the LICENSE file for more information.
//
/** What a person reads of a visit that goes on: where it stands, and why. */
import type { View } from "./call";
import { adviceFor } from "./errors";
import { isInRoom, type State } from "./session";

const STATUS: Record<State["name"], string> = {
  loading: "",
  idle: "",
  creating: "Creating your conversation…",
  joining: "Joining the room…",
  waiting: "Waiting for the face to join…",
  live: "Live",
  away: "The face is gone. Waiting for it to come back…",
  elsewhere: "",
  ending: "Ending the conversation…",
  ended: "",
  failed: "",
};

export interface Status {
  text: string;
  /** Why it is so, or what is tried; "" where there is nothing to say. */
  reason: string;
  /** Nothing is lost. */
  well: boolean;
}

/** @param slow whether the wait takes longer than usual. */
export function statusOf(view: View, slow: boolean): Status {
  const { state, down, trouble } = view;
  const inside = isInRoom(state);
  if (inside && down.has("network"))
    return {
      text: "You are offline",
      reason:
        "Your network is gone. The conversation goes on when it is back " +
        "soon; else the server ends it.",
      well: false,
    };
  if (inside && down.size > 0)
    return {
      text: "Reconnecting…",
      reason: down.has("room")
        ? "The connection to the room is lost, and is being made again."
        : "The connection to the server is lost, and is being made again.",
      well: false,
    };
  return {
    text: STATUS[state.name],
    reason: reasonOf(view, slow),
    well: state.name !== "away" && trouble === null,
  };
}

function reasonOf({ state, trouble }: View, slow: boolean): string {
  const why = trouble && `${adviceFor(trouble).title}.`;
  switch (state.name) {
    case "creating":
    case "joining":
      return why
        ? `${why} The server tries again.`
        : slow
          ? "It takes longer than usual."
          : "";
    case "waiting":
      return why
        ? `${why} The server tries again.`
        : slow
          ? "Still waiting. It can take a minute."
          : "";
    case "away":
      return why
        ? `${why} The server tries again.`
        : "Its connection is lost. If it does not come back soon, another " +
            "face is sent, or the conversation ends.";
    case "ending": {
      const cause = state.problem && adviceFor(state.problem).what;
      const stuck = why && `${why} The server goes on trying to end it.`;
      return [cause, stuck].filter(Boolean).join(" ");
    }
    default:
      return "";
  }
}
