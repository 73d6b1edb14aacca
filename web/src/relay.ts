//
// This file is part of TEN Framework, an open source project.
// Licensed under the Apache License, Version 2.0.
// See the LICENSE file for more information.
//
/**
 * Carries the room's messages to the graph, in order, and the graph's back.
 *
 * One tab per browser does: all its tabs hear the same room, and the graph
 * would hear everything twice.
 */
import { ApiError, problemOf, type Problem } from "./api";
import type { AppMessage } from "./rooms/room";

/** Tavus's events; a room carries other messages, too, such as its chat. */
const FROM_TAVUS = /^(conversation|system|application)\./i;
/** What others in the room say to Tavus; the graph knows what it says itself. */
const TO_TAVUS = new Set([
  "conversation.echo",
  "conversation.respond",
  "conversation.interrupt",
  "conversation.overwrite_llm_context",
  "conversation.append_llm_context",
  "conversation.sensitivity",
  "conversation.set_emotion",
  "conversation.tool_result",
  "conversation.objective.confirm",
]);
const PARTIAL = "conversation.utterance.streaming";
const MAX_WAITING = 256;
const PAUSE_MS = 1_000;

export class Relay {
  readonly #stop = new AbortController();
  readonly #waiting: AppMessage[] = [];
  #mine = false;
  #sending = false;
  #complained = false;

  /**
   * @param id of the conversation.
   * @param post sends one message to the graph.
   * @param complain is told of the first failure, not of each.
   * @param locks of the browser; undefined where it has none (plain HTTP).
   */
  constructor(
    id: string,
    readonly post: (message: AppMessage) => Promise<unknown>,
    readonly complain: (problem: Problem) => void,
    locks: LockManager | undefined,
  ) {
    if (locks) void this.#acquire(locks, `tavus:${id}`);
    else this.#mine = true;
  }

  /** Whether this tab is the one that speaks for its browser. */
  get mine(): boolean {
    return this.#mine;
  }

  push(message: AppMessage): void {
    const type = message.event_type;
    if (!this.#mine || !FROM_TAVUS.test(type) || TO_TAVUS.has(type)) return;
    this.#waiting.push(message);
    if (this.#waiting.length > MAX_WAITING) {
      // The next partial says all that this one did.
      const partial = this.#waiting.findIndex(
        (one) => one.event_type === PARTIAL,
      );
      this.#waiting.splice(Math.max(partial, 0), 1);
    }
    void this.#send();
  }

  stop(): void {
    this.#mine = false;
    this.#waiting.length = 0;
    this.#stop.abort();
  }

  async #acquire(locks: LockManager, name: string): Promise<void> {
    const { signal } = this.#stop;
    try {
      await locks.request(name, { signal }, async () => {
        this.#mine = true;
        await new Promise<void>((release) => {
          signal.addEventListener("abort", () => {
            release();
          });
        });
      });
    } catch (error) {
      // A document that may not have locks at all relays.
      if (!signal.aborted) {
        this.#mine = true;
        this.#complain(problemOf(error));
      }
    }
  }

  async #send(): Promise<void> {
    if (this.#sending) return;
    this.#sending = true;
    for (let next = this.#waiting.shift(); next; next = this.#waiting.shift()) {
      try {
        await this.post(next);
      } catch (error) {
        const problem = problemOf(error);
        if (!this.#mine) break;
        this.#complain(problem);
        if (isOver(error)) this.stop();
        else if (mayPass(error)) {
          this.#waiting.unshift(next);
          await this.#pause((problem.retryAfterS ?? 0) * 1000 || PAUSE_MS);
        }
      }
    }
    this.#sending = false;
  }

  #complain(problem: Problem): void {
    if (this.#complained) return;
    this.#complained = true;
    this.complain(problem);
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#stop.signal.addEventListener("abort", () => {
        clearTimeout(timer);
        resolve();
      });
    });
  }
}

function isOver(error: unknown): boolean {
  return error instanceof ApiError && [401, 404].includes(error.status);
}

function mayPass(error: unknown): boolean {
  if (!(error instanceof ApiError)) return false;
  const { status } = error;
  return status === 0 || status === 429 || status >= 500;
}
