//
// This file is part of TEN Framework, an open source project.
// Licensed under the Apache License, Version 2.0.
// See the LICENSE file for more information.
//
/**
 * Keeps the event stream open: reads it, and comes back with Last-Event-ID.
 *
 * By fetch, not EventSource: that cannot send an Authorization header. Format:
 * html.spec.whatwg.org/multipage/server-sent-events.html
 */
import { createParser } from "eventsource-parser";

import { ApiError, problemOf, type Api, type Problem } from "./api";

export interface StreamListener {
  /** An event, its data parsed. */
  event: (name: string, data: unknown) => void;
  /** Whether the stream is open. */
  link: (open: boolean) => void;
  /** A try failed; when `final` there is no other. */
  failed: (problem: Problem, final: boolean) => void;
}

const CONNECT_TIMEOUT_MS = 10_000;
// The server says something every 15 s; twice nothing is a dead connection.
const SILENCE_MS = 35_000;
// Short, because the server ends the conversation of whoever stays away.
const PAUSE_MS = 1_000;
const MAX_PAUSE_MS = 5_000;

export class EventStream {
  readonly #stop = new AbortController();
  #lastId = "";
  #pauseMs = PAUSE_MS;

  constructor(
    readonly api: Api,
    readonly listener: StreamListener,
  ) {
    void this.#run();
  }

  close(): void {
    this.#stop.abort();
  }

  async #run(): Promise<void> {
    const stop = this.#stop.signal;
    for (let failures = 0; !stop.aborted;) {
      let problem: Problem | null = null;
      try {
        await this.#read(() => {
          failures = 0;
        });
      } catch (error) {
        problem = problemOf(error);
        // aborted flips while we wait; the compiler cannot know.
        if (this.#closed()) return;
        failures += 1;
        const final = isFinal(error);
        this.listener.failed(problem, final);
        if (final) return;
      }
      if (this.#closed()) return;
      this.listener.link(false);
      const backoffMs = Math.min(
        this.#pauseMs * 2 ** Math.max(0, failures - 3),
        Math.max(this.#pauseMs, MAX_PAUSE_MS),
      );
      await pause((problem?.retryAfterS ?? 0) * 1000 || backoffMs, stop);
    }
  }

  #closed(): boolean {
    return this.#stop.signal.aborted;
  }

  async #read(opened: () => void): Promise<void> {
    const attempt = new AbortController();
    const signal = AbortSignal.any([this.#stop.signal, attempt.signal]);
    let alarm = setTimeout(() => {
      attempt.abort();
    }, CONNECT_TIMEOUT_MS);
    const alive = () => {
      clearTimeout(alarm);
      alarm = setTimeout(() => {
        attempt.abort();
      }, SILENCE_MS);
    };
    try {
      const headers = new Headers();
      if (this.#lastId) headers.set("Last-Event-ID", this.#lastId);
      const response = await this.api.events(headers, signal);
      alive();
      opened();
      this.listener.link(true);
      const parser = createParser({
        onEvent: ({ id, event, data }) => {
          if (this.#closed()) return;
          if (id !== undefined) this.#lastId = id;
          const parsed = parse(data);
          if (event && parsed !== undefined) this.listener.event(event, parsed);
        },
        onRetry: (ms) => {
          this.#pauseMs = ms;
        },
      });
      const text = response.body?.pipeThrough(new TextDecoderStream());
      const reader = text?.getReader();
      for (;;) {
        const part = await reader?.read();
        if (!part || part.done) return;
        alive();
        parser.feed(part.value);
      }
    } finally {
      clearTimeout(alarm);
      attempt.abort();
    }
  }
}

/** Whether trying again cannot help: the server understood and said no. */
function isFinal(error: unknown): boolean {
  if (!(error instanceof ApiError)) return false;
  const { status } = error;
  return status >= 400 && status < 500 && status !== 408 && status !== 429;
}

function parse(data: string): unknown {
  try {
    return JSON.parse(data);
  } catch {
    // Not of our server. The next event may be.
    return undefined;
  }
}

/** Waits; less when the network comes back or nobody wants it any more. */
function pause(ms: number, stop: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      removeEventListener("online", done);
      stop.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    addEventListener("online", done);
    stop.addEventListener("abort", done);
  });
}
