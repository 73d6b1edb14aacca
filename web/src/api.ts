//
// This file is part of TEN Framework, an open source project.
// Licensed under the Apache License, Version 2.0.
// See the LICENSE file for more information.
//
/** Asks tavus_http's API, and says in one way what went wrong. */

/** A conversation of this browser. A `join_url` may hold a secret token. */
export interface Conversation {
  conversation_id: string;
  conversation_url: string;
  join_url: string;
  /** For how long it has been there, where that is known. */
  age_ms?: number;
  /** Another tab of this browser is in it. */
  elsewhere?: boolean;
}

export interface ConversationState extends Conversation {
  status: "active" | "ended";
  reason?: string;
  duration_ms?: number;
}

/** A room of LiveKit, and our key to it. */
export interface LiveKitStarted {
  room_name: string;
  user_token: string;
  livekit_url: string;
  age_ms: number;
}

export interface LiveKitEnded {
  room_name: string;
  reason: string;
  duration_ms: number;
}

export interface Config {
  version: string;
  token_needed: boolean;
  /** Where conversations are: in Tavus's rooms, or in those of LiveKit. */
  mode: "conversation" | "livekit";
  /** Tavus is a simulated one: nothing is real, and nothing is billed. */
  simulated: boolean;
  limits: { custom_greeting: number; conversational_context: number };
}

export interface Options {
  language: string;
  custom_greeting: string;
  conversational_context: string;
}

/** What went wrong; `kind` is a key of errors.ts or newer than this page. */
export interface Problem {
  kind: string;
  detail: string;
  /** How long to wait before the next try. */
  retryAfterS?: number;
}

export class ApiError extends Error {
  constructor(
    readonly problem: Problem,
    readonly status: number,
  ) {
    super(problem.detail);
  }
}

const TIMEOUT_MS = 15_000;
// The server waits up to 60 s for the graph, unless told otherwise.
const CREATE_TIMEOUT_MS = 65_000;
const END_TIMEOUT_MS = 65_000;
// Longer waits are a proxy's way to say "not today".
const MAX_RETRY_AFTER_S = 3600;

/** One person's way to the API. */
export class Api {
  /**
   * @param token the bearer token, "" for none; asked for at every request.
   */
  constructor(readonly token: () => string) {}

  config(): Promise<Config> {
    return this.#ask("GET", "config");
  }

  async running(): Promise<Conversation[]> {
    const found = await this.#ask<{ conversations: Conversation[] }>(
      "GET",
      "conversation",
    );
    return found.conversations;
  }

  create(options: Options): Promise<Conversation> {
    const given = Object.entries(options).filter(([, value]) => value !== "");
    return this.#ask(
      "POST",
      "conversation/create",
      Object.fromEntries(given),
      CREATE_TIMEOUT_MS,
    );
  }

  state(id: string): Promise<ConversationState> {
    return this.#ask("GET", `conversation/${encodeURIComponent(id)}`);
  }

  /** Answers when the conversation is really over. */
  end(id: string): Promise<unknown> {
    return this.#ask(
      "DELETE",
      `conversation/${encodeURIComponent(id)}`,
      undefined,
      END_TIMEOUT_MS,
    );
  }

  startRoom(): Promise<LiveKitStarted> {
    return this.#ask("POST", "livekit/start", {}, CREATE_TIMEOUT_MS);
  }

  /** The rooms of LiveKit that run, with new keys. */
  async rooms(): Promise<LiveKitStarted[]> {
    const found = await this.#ask<{ rooms: LiveKitStarted[] }>(
      "GET",
      "livekit",
    );
    return found.rooms;
  }

  /** Ends a room of LiveKit; also one that has ended already. */
  stopRoom(name: string): Promise<LiveKitEnded> {
    const path = `livekit/${encodeURIComponent(name)}/stop`;
    return this.#ask("POST", path, undefined, END_TIMEOUT_MS);
  }

  interaction(id: string, message: object): Promise<unknown> {
    const path = `conversation/${encodeURIComponent(id)}/interaction`;
    return this.#ask("POST", path, message);
  }

  /** The event stream's response, with an ApiError where it is refused. */
  async events(headers: Headers, signal: AbortSignal): Promise<Response> {
    headers.set("Accept", "text/event-stream");
    const response = await this.#fetch("events", { headers, signal });
    const type = response.headers.get("Content-Type") ?? "";
    if (response.ok && type.startsWith("text/event-stream")) return response;
    throw await errorOf(response);
  }

  async #ask<T>(
    method: string,
    path: string,
    body?: object,
    timeoutMs = TIMEOUT_MS,
  ): Promise<T> {
    const init: RequestInit = {
      method,
      signal: AbortSignal.timeout(timeoutMs),
    };
    if (body) {
      init.body = JSON.stringify(body);
      init.headers = { "Content-Type": "application/json" };
    }
    const response = await this.#fetch(path, init);
    if (!response.ok) throw await errorOf(response);
    const envelope = await jsonOf(response);
    if (typeof envelope?.data !== "object" || envelope.data === null)
      throw notOurs(response.status);
    return envelope.data as T;
  }

  async #fetch(path: string, init: RequestInit): Promise<Response> {
    const headers = new Headers(init.headers);
    const token = this.token();
    if (token) headers.set("Authorization", `Bearer ${token}`);
    try {
      return await fetch(`/api/tavus/${path}`, { ...init, headers });
    } catch (error) {
      throw new ApiError(problemOf(error), 0);
    }
  }
}

/** The problem behind anything that was thrown. */
export function problemOf(error: unknown): Problem {
  if (error instanceof ApiError) return error.problem;
  const { name } = Object(error) as { name?: unknown };
  if (name === "TimeoutError")
    return { kind: "timeout", detail: "This page's server did not answer." };
  // What fetch throws for refused, reset and unresolved is a TypeError.
  if (name === "TypeError" || name === "AbortError")
    return { kind: "offline", detail: "This page's server is out of reach." };
  return { kind: "unknown", detail: String(error) };
}

interface Envelope {
  data?: unknown;
  msg?: unknown;
}

async function jsonOf(response: Response): Promise<Envelope | null> {
  try {
    return (await response.json()) as Envelope | null;
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw new ApiError(problemOf(error), response.status);
  }
}

async function errorOf(response: Response): Promise<ApiError> {
  const envelope = await jsonOf(response);
  const data = envelope?.data as Partial<Problem> | null | undefined;
  if (typeof data?.kind !== "string") return notOurs(response.status);
  const problem: Problem = { kind: data.kind, detail: data.detail ?? "" };
  const seconds = Number(response.headers.get("Retry-After") ?? Number.NaN);
  if (seconds > 0)
    problem.retryAfterS = Math.min(Math.ceil(seconds), MAX_RETRY_AFTER_S);
  return new ApiError(problem, response.status);
}

/** The error of an answer that tavus_http did not write: some proxy did. */
function notOurs(status: number): ApiError {
  const gateway = status === 502 || status === 503 || status === 504;
  return new ApiError(
    {
      kind: gateway ? "offline" : "protocol",
      detail: `Something between this page and its server answered ${status}.`,
    },
    status,
  );
}
