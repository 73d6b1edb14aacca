//
// This file is part of TEN Framework, an open source project.
// Licensed under the Apache License, Version 2.0.
// See the LICENSE file for more information.
//
/** Tests of relay.ts: order, bounds, failures, and one tab per browser. */
import { afterEach, beforeEach, expect, it, vi } from "vitest";

import { ApiError, type Problem } from "../src/api";
import { Relay } from "../src/relay";
import type { AppMessage } from "../src/rooms/room";
import { FakeLocks, locks, settle } from "./fakes";

interface Post {
  message: AppMessage;
  done: () => void;
  fail: (error: unknown) => void;
}

let posts: Post[];
let complaints: Problem[];
const relays: Relay[] = [];

function relay(lock?: LockManager): Relay {
  const one = new Relay(
    "c1",
    (message) =>
      new Promise<void>((done, fail) => {
        posts.push({ message, done, fail });
      }),
    (problem) => complaints.push(problem),
    lock,
  );
  relays.push(one);
  return one;
}

const said = (seq: number): AppMessage => ({
  event_type: "conversation.utterance",
  seq,
});
const partial = (seq: number): AppMessage => ({
  event_type: "conversation.utterance.streaming",
  seq,
});
const refused = (status: number, retryAfterS?: number) =>
  new ApiError({ kind: "some", detail: "", retryAfterS }, status);
const order = () => posts.map(({ message }) => message.seq);

beforeEach(() => {
  vi.useFakeTimers();
  posts = [];
  complaints = [];
});
afterEach(() => {
  for (const one of relays.splice(0)) one.stop();
  vi.useRealTimers();
});

it("sends one after the other, in order", async () => {
  const one = relay();
  for (const seq of [1, 2, 3]) one.push(said(seq));
  expect(order()).toEqual([1]);
  posts[0]?.done();
  await settle();
  expect(order()).toEqual([1, 2]);
  posts[1]?.done();
  await settle();
  expect(order()).toEqual([1, 2, 3]);
});

it.each([
  "conversation.perception-analysis",
  "conversation.objective.completed",
  "system.wake_phrase_detected",
  "Conversation.V2",
])("hands on whatever Tavus says: %s", (event_type) => {
  relay().push({ event_type });
  expect(posts.map(({ message }) => message.event_type)).toEqual([event_type]);
});

it("keeps to itself what Tavus has not said", () => {
  const one = relay();
  one.push({ event_type: "conversation.echo" });
  one.push({ event_type: "chat" });
  expect(posts).toEqual([]);
});

it.each([
  ["the oldest partial", 257, [0, 1, 3, 4]],
  ["then the oldest of all", 258, [0, 3, 4, 5]],
])("drops, of too many, %s", async (_what, last, first) => {
  const one = relay();
  one.push(said(0)); // is under way, so the others wait
  one.push(said(1));
  one.push(partial(2));
  for (let seq = 3; seq <= last; seq += 1) one.push(said(seq));
  for (let at = 0; at < posts.length; at += 1) {
    posts[at]?.done();
    await settle();
  }
  const sent = order();
  expect(sent).toHaveLength(257);
  expect(sent.slice(0, 4)).toEqual(first);
  expect(sent.at(-1)).toBe(last);
});

it("waits as long as it is told, then sends the same again", async () => {
  const one = relay();
  one.push(said(1));
  one.push(said(2));
  posts[0]?.fail(refused(429, 3));
  await settle();
  await vi.advanceTimersByTimeAsync(2_999);
  expect(order()).toEqual([1]);
  await vi.advanceTimersByTimeAsync(1);
  expect(order()).toEqual([1, 1]);
});

it.each([0, 502])("tries again after a failure with %s", async (status) => {
  const one = relay();
  one.push(said(1));
  posts[0]?.fail(refused(status));
  await settle();
  await vi.advanceTimersByTimeAsync(1000);
  expect(order()).toEqual([1, 1]);
});

it("goes on after a message that is refused", async () => {
  const one = relay();
  one.push(said(1));
  one.push(said(2));
  posts[0]?.fail(refused(422));
  await settle();
  expect(order()).toEqual([1, 2]);
});

it.each([401, 404])("stops for good at a %s", async (status) => {
  const one = relay();
  one.push(said(1));
  one.push(said(2));
  posts[0]?.fail(refused(status));
  await settle();
  one.push(said(3));
  expect(order()).toEqual([1]);
  expect(one.mine).toBe(false);
});

it("complains once", async () => {
  const one = relay();
  one.push(said(1));
  one.push(said(2));
  posts[0]?.fail(refused(422));
  await settle();
  posts[1]?.fail(refused(422));
  await settle();
  expect(complaints).toEqual([{ kind: "some", detail: "" }]);
});

it("says nothing more once stopped", async () => {
  const one = relay();
  one.push(said(1));
  one.push(said(2));
  one.stop();
  posts[0]?.fail(refused(0));
  await settle();
  await vi.advanceTimersByTimeAsync(10_000);
  expect(order()).toEqual([1]);
  expect(complaints).toEqual([]);
});

it("is one tab's business, and the next tab's when that goes", async () => {
  const shared = locks(new FakeLocks());
  const [first, second] = [relay(shared), relay(shared)];
  await settle();
  expect([first.mine, second.mine]).toEqual([true, false]);
  second.push(said(1));
  expect(posts).toEqual([]);
  first.stop();
  await settle();
  expect([first.mine, second.mine]).toEqual([false, true]);
  second.push(said(2));
  expect(order()).toEqual([2]);
});

it("is nobody's when stopped before its turn came", async () => {
  const shared = locks(new FakeLocks());
  const [first, second] = [relay(shared), relay(shared)];
  await settle();
  second.stop();
  first.stop();
  await settle();
  expect(second.mine).toBe(false);
});

it("works where the browser refuses locks", async () => {
  const request = () => Promise.reject(new DOMException("no", "SecurityError"));
  const one = relay({ request } as unknown as LockManager);
  await settle();
  expect(one.mine).toBe(true);
});
