//
// This file is part of TEN Framework, an open source project.
// Licensed under the Apache License, Version 2.0.
// See the LICENSE file for more information.
//
/** Tests of stream.ts: what it reads, and how it comes back. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { Api } from "../src/api";
import { EventStream } from "../src/stream";
import { holdFetch, refusal, settle, type Asked } from "./fakes";

let asked: Asked[];
let stream: EventStream;
let told: unknown[];

beforeEach(() => {
  vi.useFakeTimers();
  asked = holdFetch();
  told = [];
  stream = new EventStream(new Api(() => "secret"), {
    event: (name, data) => told.push([name, data]),
    link: (open) => told.push(open),
    failed: (problem, final) => told.push([problem.kind, final]),
  });
});
afterEach(() => {
  stream.close();
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

/** Accepts the latest request, and gives the pen of its body. */
function accept() {
  const pipe = new TransformStream<Uint8Array, Uint8Array>();
  const pen = pipe.writable.getWriter();
  const headers = { "Content-Type": "text/event-stream; charset=utf-8" };
  // As fetch does: aborting breaks the body too.
  asked.at(-1)?.init.signal?.addEventListener("abort", () => {
    void pen.abort(new DOMException("aborted", "AbortError"));
  });
  asked.at(-1)?.answer(new Response(pipe.readable, { headers }));
  return {
    write: (text: string) => pen.write(new TextEncoder().encode(text)),
    end: () => pen.close(),
    break: () => pen.abort(new TypeError("network error")),
  };
}

/** Lets go on whatever can, and says that this was enough. */
async function until(condition: () => boolean): Promise<void> {
  await settle();
  expect(condition()).toBe(true);
}

describe("what is read", () => {
  it("is events, across any cut, and nothing after close", async () => {
    const pen = accept();
    await pen.write(': hi\n\nid: e-1\nevent: ready\ndata: {"a"');
    await pen.write(":1}\n\nevent: x\ndata: [2]\n\n");
    await until(() => told.length === 3);
    expect(told).toEqual([true, ["ready", { a: 1 }], ["x", [2]]]);
    stream.close();
    await pen.write("event: late\ndata: 1\n\n").catch(() => undefined);
    expect(told).toHaveLength(3);
  });

  it("passes over what is no JSON", async () => {
    const pen = accept();
    await pen.write("event: odd\ndata: {\n\nevent: x\ndata: 1\n\n");
    await until(() => told.length === 2);
    expect(told).toEqual([true, ["x", 1]]);
  });

  it("is asked for with the token", () => {
    expect(asked[0]?.headers.get("Authorization")).toBe("Bearer secret");
    expect(asked[0]?.headers.get("Accept")).toBe("text/event-stream");
    expect(asked[0]?.headers.has("Last-Event-ID")).toBe(false);
  });
});

describe("a stream that breaks", () => {
  it("comes back with the last id, after the server's pause", async () => {
    const pen = accept();
    await pen.write("retry: 300\n\nid: e-7\nevent: x\ndata: 1\n\n");
    await until(() => told.length === 2);
    await pen.break();
    await until(() => told.includes(false));
    expect(told).toContainEqual(["offline", false]);
    expect(asked).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(300);
    expect(asked).toHaveLength(2);
    expect(asked[1]?.headers.get("Last-Event-ID")).toBe("e-7");
  });

  it("comes back after a clean end as well", async () => {
    const pen = accept();
    await until(() => told.length === 1);
    await pen.end();
    await until(() => told.includes(false));
    await vi.advanceTimersByTimeAsync(1000);
    expect(asked).toHaveLength(2);
  });

  it("comes back at once when the network does", async () => {
    asked[0]?.fail(new TypeError("Failed to fetch"));
    await until(() => told.includes(false));
    dispatchEvent(new Event("online"));
    await until(() => asked.length === 2);
  });

  it("is noticed by its silence", async () => {
    accept();
    await until(() => told.length === 1);
    await vi.advanceTimersByTimeAsync(34_999);
    expect(told).toEqual([true]);
    await vi.advanceTimersByTimeAsync(1);
    await until(() => told.includes(false));
  });

  it("gives up a try that nobody answers, not the stream", async () => {
    await vi.advanceTimersByTimeAsync(10_000);
    await until(() => told.includes(false));
    expect(told).toContainEqual(["offline", false]);
    await vi.advanceTimersByTimeAsync(1000);
    expect(asked).toHaveLength(2);
  });

  it("waits longer after many failures, but never long", async () => {
    for (const ms of [1000, 1000, 1000, 2000, 4000, 5000, 5000]) {
      const before = asked.length;
      asked.at(-1)?.fail(new TypeError("Failed to fetch"));
      await vi.advanceTimersByTimeAsync(ms - 1);
      expect(asked).toHaveLength(before);
      await vi.advanceTimersByTimeAsync(1);
      expect(asked).toHaveLength(before + 1);
    }
  });
});

describe("a stream that is refused", () => {
  it.each([401, 403, 404, 422])(
    "with %s does not try again",
    async (status) => {
      asked[0]?.answer(refusal(status, "kind"));
      await until(() => told.length === 1);
      expect(told).toEqual([["kind", true]]);
      await vi.advanceTimersByTimeAsync(60_000);
      expect(asked).toHaveLength(1);
    },
  );

  it("for a while comes back when it may", async () => {
    asked[0]?.answer(refusal(429, "too_many", { "Retry-After": "9" }));
    await until(() => told.includes(false));
    expect(told[0]).toEqual(["too_many", false]);
    await vi.advanceTimersByTimeAsync(8_999);
    expect(asked).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(1);
    expect(asked).toHaveLength(2);
  });

  it("by a server in trouble comes back", async () => {
    asked[0]?.answer(refusal(503, "stopping"));
    await until(() => told.includes(false));
    await vi.advanceTimersByTimeAsync(1000);
    expect(asked).toHaveLength(2);
  });
});

it("asks no more once closed", async () => {
  stream.close();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(asked).toHaveLength(1);
  expect(told).toEqual([]);
});
