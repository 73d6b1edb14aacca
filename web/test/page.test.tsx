//
// This file is part of TEN Framework, an open source project.
// Licensed under the Apache License, Version 2.0.
// See the LICENSE file for more information.
//
/** Tests of the page as a person meets it: words, focus, what can be pressed. */
import { act } from "react";
import { createRoot, type Root } from "react-dom/client";
import { afterEach, beforeEach, expect, it, vi } from "vitest";

import { Api } from "../src/api";
import { App } from "../src/App";
import { Call } from "../src/call";
import type { StreamListener } from "../src/stream";
import { keepToken, readToken } from "../src/token";
import {
  FakeRoom,
  conversation,
  holdFetch,
  refusal,
  reply,
  settle,
  type Asked,
} from "./fakes";

const LIMITS = { custom_greeting: 40, conversational_context: 400 };
let asked: Asked[];
let room: FakeRoom | undefined;
let stream: StreamListener | undefined;
let call: Call;
let root: Root;
let page: HTMLElement;

beforeEach(() => {
  vi.stubGlobal("IS_REACT_ACT_ENVIRONMENT", true);
  asked = holdFetch();
  call = new Call({
    api: new Api(readToken),
    makeRoom: (_url, listener) => (room = new FakeRoom(listener)),
    openStream: (listener) => {
      stream = listener;
      return { close: () => undefined };
    },
    locks: undefined,
  });
  page = document.createElement("div");
  document.body.append(page);
  root = createRoot(page);
});
afterEach(() => {
  act(() => {
    root.unmount();
  });
  page.remove();
  keepToken("");
  sessionStorage.clear();
  vi.unstubAllGlobals();
});

async function open(tokenNeeded = false, more = {}): Promise<void> {
  await act(async () => {
    root.render(<App call={call} />);
    void call.load();
    await settle();
  });
  await answer(
    reply({
      version: "1",
      token_needed: tokenNeeded,
      limits: LIMITS,
      ...more,
    }),
  );
  if (!tokenNeeded) await answer(reply({ conversations: [] }));
}

async function answer(response: Response): Promise<void> {
  await act(async () => {
    asked.shift()?.answer(response);
    await settle();
  });
}

async function during(what: () => void): Promise<void> {
  await act(async () => {
    what();
    await settle();
  });
}

/** As a keyboard does it: React overrides the field's own "value". */
function type(field: HTMLElement, text: string): Promise<void> {
  const kind = Object.getPrototypeOf(field) as object;
  return during(() => {
    Reflect.set(kind, "value", text, field);
    field.dispatchEvent(new Event("input", { bubbles: true }));
  });
}

function find(testId: string): HTMLElement {
  const found = page.querySelector<HTMLElement>(`[data-testid="${testId}"]`);
  if (!found) throw new Error(`no ${testId} on the page`);
  return found;
}

const press = (testId: string) =>
  during(() => {
    find(testId).click();
  });
const state = () => page.querySelector("main")?.dataset.state;

async function live(given = conversation("c1")): Promise<void> {
  await open();
  await press("start");
  await during(() => {
    stream?.event("ready", { conversation_ids: [] });
  });
  await answer(reply(given));
  await during(() => {
    room?.listener.joined();
    room?.listener.faceJoined();
  });
}

it("cannot start before it knows its server", async () => {
  await act(async () => {
    root.render(<App call={call} />);
    await settle();
  });
  expect(state()).toBe("loading");
  expect(page.querySelector("button")).toBeNull();
});

it("starts with one press, and the focus goes to the status", async () => {
  await open();
  expect(page.querySelector("h1")?.textContent).toBe("Talk to a face.");
  expect(page.querySelector('[data-testid="token"]')).toBeNull();
  await press("start");
  expect(state()).toBe("creating");
  expect(document.activeElement).toBe(find("status"));
  expect(find("leave").textContent).toBe("Cancel");
});

it("asks for a token where one is needed, and keeps it for the tab", async () => {
  await open(true);
  const field = find("token");
  expect(field.getAttribute("type")).toBe("password");
  await press("start");
  expect(state()).toBe("idle"); // an empty one is not tried
  await type(field, " my-token ");
  await press("start");
  expect(state()).toBe("creating");
  expect(readToken()).toBe("my-token");
});

it("has the controls work in the room, and not before", async () => {
  await open();
  await press("start");
  expect(find("mic").getAttribute("aria-disabled")).toBe("true");
  await during(() => {
    stream?.event("ready", { conversation_ids: [] });
  });
  await answer(reply(conversation("c1")));
  await press("mic");
  expect(room?.microphone).toEqual([]);
  await during(() => {
    room?.listener.joined();
    room?.listener.microphone(true);
  });
  expect(find("mic").textContent).toBe("Mute");
  await press("mic");
  expect(room?.microphone).toEqual([false]);
});

it("copies the link of a room that is open to all", async () => {
  const writeText = vi.fn(() => Promise.resolve());
  vi.stubGlobal("navigator", { clipboard: { writeText } });
  await live();
  await press("copy");
  expect(writeText).toHaveBeenCalledWith("http://127.0.0.1:9/room/c1");
  expect(find("copy").textContent).toBe("Copied");
});

it("does not give away the link of a private room", async () => {
  const writeText = vi.fn(() => Promise.resolve());
  vi.stubGlobal("navigator", { clipboard: { writeText } });
  const open_ = conversation("c1");
  await live({ ...open_, join_url: `${open_.join_url}?t=secret` });
  expect(find("copy").textContent).toBe("Private");
  expect(find("copy").title).toContain("not for sharing");
  await press("copy");
  expect(writeText).not.toHaveBeenCalled();
  expect(page.innerHTML).not.toContain("secret");
});

it("reads a transcript line aloud when it is complete", async () => {
  await live();
  const partial = {
    event_type: "conversation.utterance.streaming",
    inference_id: "i",
    properties: { role: "replica", speech: "Hel" },
  };
  await during(() => {
    room?.listener.message(partial);
  });
  const line = () => find("log").lastElementChild;
  expect(find("log").getAttribute("role")).toBe("log");
  expect(line()?.getAttribute("aria-hidden")).toBe("true");
  await during(() => {
    room?.listener.message({
      ...partial,
      event_type: "conversation.utterance",
      properties: { role: "replica", speech: "Hello." },
    });
  });
  expect(line()?.getAttribute("aria-hidden")).toBe("false");
  expect(line()?.textContent).toContain("FaceHello.");
});

it("shows text of the room as text", async () => {
  await live();
  await during(() => {
    room?.listener.message({
      event_type: "conversation.utterance",
      properties: { role: "user", speech: "<img src=x onerror=alert(1)>" },
    });
  });
  expect(find("log").querySelector("img")).toBeNull();
});

it("says how it ended, with the focus there, and starts again", async () => {
  await live();
  await during(() => {
    stream?.event("tavus_conversation_ended", {
      conversation_id: "c1",
      reason: "max_call_duration reached",
      duration_ms: 61_000,
    });
  });
  const card = find("card-ended");
  expect(card.textContent).toContain("longest time");
  expect(card.textContent).toContain("1 minute 1 second");
  expect(document.activeElement).toBe(card.querySelector("h1"));
  await press("start");
  expect(state()).toBe("creating");
});

it("says what failed and when to try again", async () => {
  await open();
  await press("start");
  await during(() => {
    stream?.event("ready", { conversation_ids: [] });
  });
  await answer(refusal(429, "too_many", { "Retry-After": "42" }));
  const card = find("card-error");
  expect(card.dataset.kind).toBe("too_many");
  expect(card.textContent).toContain("42 seconds");
  expect(document.activeElement).toBe(card.querySelector("h1"));
  await press("back");
  expect(state()).toBe("idle");
  expect(document.activeElement).toBe(find("start"));
});

it("keeps the call on screen when the microphone is denied", async () => {
  await live();
  await during(() => {
    room?.listener.denied({ kind: "microphone_denied", detail: "" });
  });
  expect(find("card-error").getAttribute("role")).toBe("alert");
  expect(state()).toBe("live");
  await press("retry");
  expect(room?.microphone).toEqual([true]);
  await press("dismiss");
  expect(page.querySelector('[data-testid="card-error"]')).toBeNull();
});

it("shows a way to write where there is no microphone", async () => {
  await live();
  await during(() => {
    room?.listener.denied({ kind: "microphone_denied", detail: "" });
  });
  await press("write");
  expect(page.querySelector('[data-testid="card-error"]')).toBeNull();
  expect(document.activeElement).toBe(find("text"));
  await type(find("text"), " Hello ");
  await press("say");
  expect(room?.sent).toEqual([
    {
      message_type: "conversation",
      event_type: "conversation.respond",
      conversation_id: "c1",
      properties: { text: "Hello" },
    },
  ]);
  expect((find("text") as HTMLInputElement).value).toBe("");
});

it("says what is lost, and what is tried", async () => {
  await live();
  await during(() => {
    call.setOnline(false);
  });
  expect(find("status").textContent).toBe("You are offline");
  await during(() => {
    call.setOnline(true);
    room?.listener.faceLeft();
  });
  expect(state()).toBe("away");
  expect(find("status").textContent).toContain("The face is gone");
  await during(() => {
    stream?.event("tavus_error", {
      kind: "network",
      detail: "ClientConnectorError - check base_url",
      retrying: true,
    });
  });
  expect(find("reason").textContent).toBe(
    "Tavus is out of reach. The server tries again.",
  );
  expect(page.textContent).not.toContain("base_url");
  await during(() => {
    room?.listener.faceJoined();
  });
  expect(find("status").textContent).toBe("Live");
  expect(find("reason").textContent).toBe("");
});

it("takes another token where one was refused", async () => {
  await open(true);
  await type(find("token"), "wrong");
  await press("start");
  await during(() => {
    stream?.failed({ kind: "unauthorized", detail: "no" }, true);
  });
  await type(find("token"), "right");
  await press("retry");
  expect(state()).toBe("creating");
  expect(readToken()).toBe("right");
});

it("cuts nothing off a greeting that is too long, and says so", async () => {
  await open();
  const field = page.querySelector("textarea");
  if (!field) throw new Error("no field");
  expect(find("count").textContent).toBe("0 of 40 characters");
  await type(field, "🙂".repeat(42));
  expect(field.value).toHaveLength(84);
  expect(find("count").textContent).toContain("42 of 40 characters: 2 too");
  await press("start");
  expect(state()).toBe("idle");
  expect((find("options") as HTMLDetailsElement).open).toBe(true);
  await type(field, "🙂".repeat(40));
  await press("start");
  expect(state()).toBe("creating");
});

it("never speaks of a bill in a simulation, and says that it is one", async () => {
  await open(false, { simulated: true });
  expect(find("simulated").textContent).toContain("This is a simulation");
  expect(page.textContent).not.toContain("billed");
});

it("speaks of the bill where there is one", async () => {
  await open(false, { simulated: false });
  expect(page.querySelector('[data-testid="simulated"]')).toBeNull();
  expect(page.textContent).toContain("billed");
});

it("has speech in its own direction", async () => {
  await live();
  await during(() => {
    room?.listener.message({
      event_type: "conversation.utterance",
      properties: { role: "user", speech: "مرحبا" },
    });
  });
  const line = find("log").querySelector(".speech p");
  expect(line?.getAttribute("dir")).toBe("auto");
});
