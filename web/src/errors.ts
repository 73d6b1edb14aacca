//
// This file is part of TEN Framework, an open source project.
// Licensed under the Apache License, Version 2.0.
// See the LICENSE file for more information.
//
/** What a person reads for each kind of error, and what they can do. */
import type { Problem } from "./api";

export type Remedy =
  "retry" | "another" | "reload" | "token" | "microphone" | "sound";

export interface Advice {
  title: string;
  what: string;
  todo: string;
  remedy: Remedy;
  /** For whoever runs the server; people see it when they ask for it. */
  owner?: string;
}

const ADVICE = {
  // This page and its own server
  offline: {
    title: "The server is out of reach",
    what: "This page cannot talk to its server.",
    todo: "Check your network, then try again.",
    remedy: "retry",
  },
  unauthorized: {
    title: "An access token is needed",
    what: "The server did not accept the token of this page.",
    todo: "Enter the access token that you were given.",
    remedy: "token",
  },
  too_many: {
    title: "That was a little fast",
    what: "Too many requests came from your network.",
    todo: "Wait a moment, then try again.",
    remedy: "retry",
  },
  full: {
    title: "Every seat is taken",
    what: "As many conversations are running as this server allows.",
    todo: "Try again when somebody has left.",
    remedy: "retry",
  },
  limiter: {
    title: "The server cannot count conversations",
    what: "It starts none while its shared counter is away.",
    todo: "Try again soon.",
    remedy: "retry",
    owner: "Check that Redis is running.",
  },
  validation: {
    title: "Something in the options does not fit",
    what: "The server or Tavus refused a value.",
    todo: "Change the options, then try again.",
    remedy: "retry",
  },
  not_found: {
    title: "That conversation is gone",
    what: "It has ended, or was never yours.",
    todo: "Start a new one.",
    remedy: "retry",
  },
  method: {
    title: "This page is out of date",
    what: "The server no longer understands how it asks.",
    todo: "Reload the page.",
    remedy: "reload",
  },
  too_large: {
    title: "That was too much text",
    what: "The request is longer than the server takes.",
    todo: "Shorten the greeting or the context, then try again.",
    remedy: "retry",
  },
  slow: {
    title: "Your connection is very slow",
    what: "The request did not reach the server in time.",
    todo: "Check your network, then try again.",
    remedy: "retry",
  },
  cancelled: {
    title: "It was ended before it began",
    what: "Something else ended this conversation while it was being made.",
    todo: "Start again if that was not you.",
    remedy: "retry",
  },
  forbidden: {
    title: "This address may not start conversations",
    what: "The server does not accept requests from this page's address.",
    todo: "Open the page from its own server.",
    remedy: "reload",
    owner: "See allowed_origins.",
  },
  // The server and Tavus
  auth: {
    title: "The server has no access to Tavus",
    what: "Tavus does not know it, or does not let it in.",
    todo: "Try again later.",
    remedy: "retry",
    owner: "Set TAVUS_API_KEY to a key that is valid, and restart.",
  },
  credits: {
    title: "No minutes left",
    what: "The Tavus account of this server has used up its credits.",
    todo: "Try again later.",
    remedy: "retry",
    owner: "Add credits in the Tavus portal, then try again.",
  },
  concurrency: {
    title: "All lines are busy",
    what: "As many conversations are running as the Tavus plan allows.",
    todo: "Try again when one of them has ended.",
    remedy: "retry",
  },
  rate_limited: {
    title: "Tavus asks for a pause",
    what: "Tavus received too many requests from this server.",
    todo: "Wait a moment, then try again.",
    remedy: "retry",
  },
  server: {
    title: "Tavus has a problem",
    what: "Tavus could not start the conversation.",
    todo: "Try again in a minute.",
    remedy: "retry",
  },
  network: {
    title: "Tavus is out of reach",
    what: "The server of this page cannot connect to Tavus.",
    todo: "Try again soon.",
    remedy: "retry",
    owner: "Check its network and proxy.",
  },
  protocol: {
    title: "An unexpected answer",
    what: "Something other than the expected server answered.",
    todo: "Try again.",
    remedy: "retry",
    owner: "Check base_url and the proxies on the way.",
  },
  timeout: {
    title: "No answer in time",
    what: "The conversation took too long to start.",
    todo: "Try again. A late one is ended by the server.",
    remedy: "retry",
  },
  config: {
    title: "The server is not set up yet",
    what: "Something in its settings is missing or wrong.",
    todo: "Try again later.",
    remedy: "retry",
    owner: "Its log names the property, and says what to write.",
  },
  graph: {
    title: "The server is not complete",
    what: "Nothing in it took the request to start a conversation.",
    todo: "Try again later.",
    remedy: "retry",
    owner: "Compare the graph's connections with the README.",
  },
  stopping: {
    title: "The server is restarting",
    what: "It takes no new conversations now.",
    todo: "Try again in a moment.",
    remedy: "retry",
  },
  internal: {
    title: "Something broke on the server",
    what: "That is a mistake in the software, not yours.",
    todo: "Try again.",
    remedy: "retry",
    owner: "Its log has more; please report it.",
  },
  unknown: {
    title: "Something went wrong",
    what: "The server reports a kind of error that this page does not know.",
    todo: "Try again, or reload the page.",
    remedy: "retry",
  },
  // The room and this browser
  microphone_denied: {
    title: "The face cannot hear you",
    what: "The browser gives this page no microphone.",
    todo: "Allow it beside the address, or plug one in, then try again.",
    remedy: "microphone",
  },
  camera_denied: {
    title: "The camera is not available",
    what: "The browser gives this page no camera. You can go on without.",
    todo: "Allow it beside the address, or close what else is using it.",
    remedy: "microphone",
  },
  sound_blocked: {
    title: "You do not hear the face yet",
    what: "The browser plays no sound until you press something.",
    todo: "Press the button, or anything else.",
    remedy: "sound",
  },
  room_not_allowed: {
    title: "The room did not let you in",
    what: "It is private, and this link is no longer valid.",
    todo: "Start a new conversation.",
    remedy: "retry",
  },
  room_full: {
    title: "The room is full",
    what: "As many people are in it as it holds.",
    todo: "Start a conversation of your own.",
    remedy: "retry",
  },
  room_network: {
    title: "The room cannot be reached",
    what: "Your browser has no connection to the video room.",
    todo: "Check your network, VPN and firewall, then try again.",
    remedy: "retry",
  },
  face_absent: {
    title: "The face did not come",
    what: "You were in the room, but the face has not joined it in time.",
    todo: "Try again.",
    remedy: "retry",
    owner: "Tavus must be able to reach the room's server.",
  },
  face_gone: {
    title: "The face is gone",
    what: "The connection between Tavus and the room was lost.",
    todo: "Nobody came back in time. Start a new conversation.",
    remedy: "retry",
  },
  avatar: {
    title: "The face cannot be shown",
    what: "Tavus did not bring it into the room, or it did not work there.",
    todo: "Try again.",
    remedy: "retry",
    owner:
      "Tavus must be able to reach the room's server; see docs/livekit.md.",
  },
  not_ended: {
    title: "It may still be running",
    what: "Tavus has not confirmed yet that the conversation has ended.",
    todo: "The server goes on trying, also when you close this page.",
    remedy: "another",
  },
  not_asked: {
    title: "You are not connected",
    what: "The server could not be asked to end the conversation.",
    todo: "It ends it when it notices that you are gone, in about a minute.",
    remedy: "another",
  },
  given_up: {
    title: "You do not wait for it",
    what: "Tavus has not answered yet.",
    todo: "If the conversation is still made, the server ends it.",
    remedy: "retry",
  },
} as const satisfies Record<string, Advice>;

/** Every kind there is advice for. */
export const KINDS = Object.keys(ADVICE) as (keyof typeof ADVICE)[];

export function adviceFor(problem: Problem): Advice {
  return Object.hasOwn(ADVICE, problem.kind)
    ? ADVICE[problem.kind as keyof typeof ADVICE]
    : ADVICE.unknown;
}
