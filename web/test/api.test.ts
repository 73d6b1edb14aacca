//
// This file is part of TEN Framework, an open source project.
// Licensed under the Apache License, Version 2.0.
// See the LICENSE file for more information.
//
/** Tests of api.ts: what is asked, and each way an answer can be wrong. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { Api, ApiError, problemOf } from "../src/api";
import { holdFetch, refusal, reply, type Asked } from "./fakes";

let asked: Asked[];
const api = new Api(() => "secret");
const anonymous = new Api(() => "");

beforeEach(() => {
  asked = holdFetch();
});
afterEach(() => {
  vi.unstubAllGlobals();
});

/** The problem that a request ends with, given what fetch gives. */
async function problemWith(response: Response) {
  const answer = api.running();
  asked[0]?.answer(response);
  return problemOf(await answer.catch((error: unknown) => error));
}

describe("a request", () => {
  it("carries the token in a header, never in the URL", async () => {
    const answer = api.config();
    asked[0]?.answer(reply({ version: "1" }));
    expect(await answer).toEqual({ version: "1" });
    expect(asked[0]?.headers.get("Authorization")).toBe("Bearer secret");
    expect(asked[0]?.url).toBe("/api/tavus/config");
  });

  it("without a token has no such header", () => {
    void anonymous.config().catch(() => undefined);
    expect(asked[0]?.headers.has("Authorization")).toBe(false);
  });

  it("to create leaves out what is not chosen", () => {
    const options = {
      language: "",
      custom_greeting: "Hi",
      conversational_context: "",
    };
    void api.create(options).catch(() => undefined);
    expect(asked[0]?.init.body).toBe('{"custom_greeting":"Hi"}');
    expect(asked[0]?.headers.get("Content-Type")).toBe("application/json");
  });

  it("quotes an id that is none", () => {
    void api.end("../x?y").catch(() => undefined);
    expect(asked[0]?.url).toBe("/api/tavus/conversation/..%2Fx%3Fy");
    expect(asked[0]?.init.method).toBe("DELETE");
  });
});

describe("a refusal", () => {
  it("says its kind, its reason and how long to wait", async () => {
    const refused = refusal(429, "too_many", { "Retry-After": "7" });
    expect(await problemWith(refused)).toEqual({
      kind: "too_many",
      detail: "why",
      retryAfterS: 7,
    });
  });

  it.each(["0", "-1", "Wed, 21 Oct 2026 07:28:00 GMT"])(
    "with Retry-After %s names no time",
    async (value) => {
      const refused = refusal(503, "full", { "Retry-After": value });
      expect(await problemWith(refused)).toEqual({
        kind: "full",
        detail: "why",
      });
    },
  );

  it("for a day is cut to an hour", async () => {
    const refused = refusal(503, "full", { "Retry-After": "86400" });
    expect(await problemWith(refused)).toHaveProperty("retryAfterS", 3600);
  });
});

describe("an answer that is not the server's", () => {
  it.each([
    ["a gateway's page", new Response("<html>", { status: 502 }), "offline"],
    ["a page that is fine", new Response("<html>"), "protocol"],
    ["no envelope", Response.json([1]), "protocol"],
    ["null", Response.json(null), "protocol"],
    [
      "a refusal without a kind",
      Response.json({}, { status: 400 }),
      "protocol",
    ],
  ])("%s is %s", async (_what, response, kind) => {
    expect(await problemWith(response)).toHaveProperty("kind", kind);
  });

  it("is no event stream either", async () => {
    const signal = new AbortController().signal;
    const answer = api.events(new Headers(), signal);
    asked[0]?.answer(reply({}));
    await expect(answer).rejects.toBeInstanceOf(ApiError);
  });
});

describe("no answer", () => {
  it.each([
    [new TypeError("Failed to fetch"), "offline"],
    [new DOMException("late", "TimeoutError"), "timeout"],
    [new RangeError("odd"), "unknown"],
  ])("%s is the kind %s", async (error, kind) => {
    const answer = api.running();
    asked[0]?.fail(error);
    const problem = problemOf(await answer.catch((thrown: unknown) => thrown));
    expect(problem.kind).toBe(kind);
  });
});
