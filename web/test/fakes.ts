//
// This file is part of TEN Framework, an open source project.
// Licensed under the Apache License, Version 2.0.
// See the LICENSE file for more information.
//
/** What several tests need: conversations, a room, locks, a hand-held fetch. */
import { vi } from "vitest";

import type { Conversation, Problem } from "../src/api";
import type { Room, RoomListener } from "../src/rooms/room";

export function conversation(id = "c1"): Conversation {
  const url = `http://127.0.0.1:9/room/${id}`;
  return { conversation_id: id, conversation_url: url, join_url: url };
}

export const NETWORK: Problem = { kind: "network", detail: "no route" };

/** A room that does nothing but remember. */
export class FakeRoom implements Room {
  readonly sent: object[] = [];
  readonly microphone: boolean[] = [];
  joined = "";
  left = 0;

  constructor(readonly listener: RoomListener) {}

  join(_container: HTMLElement, url: URL): void {
    this.joined = url.href;
  }
  setMicrophone(on: boolean): void {
    this.microphone.push(on);
  }
  setCamera(): void {
    this.microphone.push(false);
  }
  send(message: object): void {
    this.sent.push(message);
  }
  leave(): Promise<void> {
    this.left += 1;
    return Promise.resolve();
  }
}

/** The browser's locks between tabs, in one tab; exclusive mode only. */
export class FakeLocks {
  readonly #held = new Map<string, Promise<unknown>>();

  request(
    name: string,
    { signal }: { signal: AbortSignal },
    work: () => Promise<void>,
  ): Promise<void> {
    const before = this.#held.get(name) ?? Promise.resolve();
    const mine = before.then(() => {
      if (signal.aborted) throw new DOMException("gone", "AbortError");
      return work();
    });
    this.#held.set(
      name,
      mine.catch(() => undefined),
    );
    return mine;
  }
}

export function locks(fake: FakeLocks): LockManager {
  return fake as unknown as LockManager;
}

export interface Asked {
  url: string;
  init: RequestInit;
  headers: Headers;
  answer: (response: Response) => void;
  fail: (error: unknown) => void;
}

/** Replaces fetch by one that the test answers, in the order asked. */
export function holdFetch(): Asked[] {
  const asked: Asked[] = [];
  vi.stubGlobal("fetch", (url: string, init: RequestInit) => {
    return new Promise<Response>((answer, fail) => {
      init.signal?.addEventListener("abort", () => {
        fail(new DOMException("aborted", "AbortError"));
      });
      const headers = new Headers(init.headers);
      asked.push({ url, init, headers, answer, fail });
    });
  });
  return asked;
}

export function reply(data: unknown): Response {
  return Response.json({ code: "0", data, msg: "ok" });
}

export function refusal(
  status: number,
  kind: string,
  headers: Record<string, string> = {},
): Response {
  return Response.json(
    { code: "1", data: { kind, detail: "why" }, msg: "why" },
    { status, headers },
  );
}

/** Lets every promise that can go on do so. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 200; turn += 1) await Promise.resolve();
}

/** What a room tells, as a list: a name, or a name and what came with it. */
export function listening(heard: unknown[]): RoomListener {
  const said = (what: string) => () => heard.push(what);
  return {
    joined: said("joined"),
    faceSent: said("face sent"),
    faceJoined: said("face"),
    faceLeft: said("face left"),
    message: (message) => heard.push(message),
    microphone: (on) => heard.push(["microphone", on]),
    camera: (on) => heard.push(["camera", on]),
    takes: (what) => heard.push(["takes", ...what]),
    sound: (on) => heard.push(["sound", on]),
    denied: ({ kind }) => heard.push(["denied", kind]),
    trouble: ({ kind }) => heard.push(["trouble", kind]),
    link: (up) => heard.push(["link", up]),
    left: (past) => heard.push(past ? ["left", past] : "left"),
    taken: said("taken"),
    failed: ({ kind, detail }) => heard.push(["failed", kind, detail]),
  };
}
