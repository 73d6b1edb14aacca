//
// This file is part of TEN Framework, an open source project.
// Licensed under the Apache License, Version 2.0.
// See the LICENSE file for more information.
//
/** One visit: does what session.ts decides, and tells it what came of it. */
import {
  ApiError,
  problemOf,
  type Api,
  type Config,
  type Conversation,
  type Options,
  type Problem,
} from "./api";
import { adviceFor } from "./errors";
import { addLine, addMessage, type Line } from "./log";
import { keepCall, keptCall } from "./memory";
import type { AppMessage, RoomListener } from "./rooms/room";
import { reportOf, type Report } from "./reports";
import { Seat, type SeatParts } from "./seat";
import {
  LIMITS_MS,
  awaitsEnd,
  isInRoom,
  step,
  type Act,
  type Happening,
  type State,
} from "./session";
import type { StreamListener } from "./stream";
import { liveKitWay, tavusWay, type OpenStream, type Way } from "./ways";
import { happened } from "./words";

/** Everything the page shows. A new object at every change. */
export interface View {
  state: State;
  config: Config | null;
  /** Whose connection is lost, and being made again. */
  down: ReadonlySet<Link>;
  microphone: boolean;
  camera: boolean;
  /** What went wrong without ending the visit. */
  notice: Problem | null;
  /** Why a person waits, as the server says: it tries again. */
  trouble: Problem | null;
  /** What the other side takes: "text", "interrupt". */
  takes: readonly string[];
  lines: readonly Line[];
  /** Since when the conversation is there, in ms of Date.now(). */
  sinceMs: number | null;
}

/** The browser's network, our server's event stream, the room. */
export type Link = "network" | "stream" | "room";

export interface Parts extends SeatParts {
  api: Api;
  openStream: OpenStream;
}

/** For Tavus's report, after the room says that it is over. */
const AWAIT_END_MS = 4_000;
/** How long a lost connection may take to come back. */
const LOST_MS = 60_000;
/** Between two tries to end, and two looks at what another tab does. */
const AGAIN_MS = 5_000;
const FACE_SIGNS = new Set([
  "system.replica_joined",
  "system.replica_present",
  "system.pal_joined",
  "system.pal_present",
]);
const NO_OPTIONS: Options = {
  language: "",
  custom_greeting: "",
  conversational_context: "",
};

export class Call {
  #view: View = {
    state: { name: "loading" },
    config: null,
    down: new Set(),
    microphone: false,
    camera: false,
    notice: null,
    trouble: null,
    takes: [],
    lines: [],
    sinceMs: null,
  };
  readonly #listeners = new Set<() => void>();
  readonly #seat: Seat;
  #way: Way;
  #options = NO_OPTIONS;
  #visits = 0;
  #stream: { close: () => void } | null = null;
  /** For Tavus's report of an end. */
  #alarm: ReturnType<typeof setTimeout> | undefined;
  /** For the limit of a state. */
  #limit: ReturnType<typeof setTimeout> | undefined;
  /** For the limit of a lost connection. */
  #lost: ReturnType<typeof setTimeout> | undefined;

  constructor(readonly parts: Parts) {
    this.#way = tavusWay(parts.api, parts.openStream);
    this.#seat = new Seat(parts, this.#roomListener(), (what, problem) => {
      this.#problem(what, problem);
    });
  }

  readonly view = (): View => this.#view;

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  /** Asks what the page may know, and joins again what still runs. */
  async load(): Promise<void> {
    try {
      const config = await this.parts.api.config();
      if (config.mode === "livekit") this.#way = liveKitWay(this.parts.api);
      this.#show({ config, takes: this.#way.takes ?? [] });
      // Without the token it may not ask; the person enters it first.
      const may = !config.token_needed || this.parts.api.token() !== "";
      const running = may ? await this.#running() : [];
      const [first = null] = running;
      const kept = keptCall();
      const known = first !== null && first.conversation_id === kept?.id;
      const mine = known || this.#way.shared;
      if (known) this.#show({ lines: kept.lines });
      if (first && mine) {
        this.#log("Welcome back: your conversation still runs");
        this.#began(first);
      } else if (kept && !first) {
        keepCall(null);
      }
      this.#happen({ type: "loaded", running: first, mine });
    } catch (error) {
      this.#happen({ type: "load_failed", problem: problemOf(error) });
    }
  }

  start(options: Options = this.#options): void {
    this.#options = options;
    this.#visits += 1;
    this.#show({ lines: [], notice: null, trouble: null });
    this.#happen({ type: "start", options });
  }

  /** Goes on here with what another tab of this browser is in. */
  take(): void {
    this.#happen({ type: "take" });
  }

  /** Ends the conversation, or the try to make one. */
  leave(): void {
    this.#happen({ type: "leave" });
  }

  /** The page closes, or is loaded anew: it may come back soon. */
  keep(): void {
    const { state, lines } = this.#view;
    if (isInRoom(state))
      keepCall({ id: state.conversation.conversation_id, lines });
  }

  /** The browser has lost its network, or has it again. */
  setOnline(online: boolean): void {
    this.#link("network", online);
  }

  /** Has the face stop speaking. */
  interrupt(): void {
    this.#seat.sendOwn({ type: "interrupt" });
  }

  /** Says something in writing. */
  say(text: string): void {
    const { state } = this.#view;
    if (!isInRoom(state)) return;
    const id = state.conversation.conversation_id;
    this.#seat.sendOwn(this.#way.typed(id, text));
  }

  reset(): void {
    this.#happen({ type: "reset" });
  }

  /** The options of the last start. */
  get options(): Options {
    return this.#options;
  }

  /** How often "start" was pressed. */
  get visits(): number {
    return this.#visits;
  }

  setMicrophone(on: boolean): void {
    this.#seat.setMicrophone(on);
  }

  setCamera(on: boolean): void {
    this.#seat.setCamera(on);
  }

  dismiss(): void {
    this.#show({ notice: null });
  }

  /** Where the room goes; it waits until this is there. */
  setStage(stage: HTMLElement | null): void {
    this.#seat.setStage(stage);
  }

  #running(): Promise<Conversation[]> {
    return this.#way.running().catch((error: unknown) => {
      // A token from an earlier visit that is valid no more.
      if (error instanceof ApiError && error.status === 401) return [];
      throw error;
    });
  }

  #happen(now: Happening): void {
    const before = this.#view.state;
    const { state, acts } = step(before, now);
    if (state !== before) this.#entered(state, before);
    for (const act of acts) this.#perform(act);
  }

  #entered(state: State, before: State): void {
    this.#show({ state });
    this.#watch(state);
    if (state.name === before.name) return;
    if (state.name === "live") this.#show({ trouble: null });
    if (!("conversation" in state) || state.name === "elsewhere") {
      keepCall(null);
      this.#show({ sinceMs: null });
    } else if (isInRoom(state)) this.keep();
    const text = happened(state.name, before.name);
    if (text) this.#log(text);
    if (state.name === "failed") this.#problem("Stopped", state.problem);
  }

  /** Nobody waits in a state for ever. */
  #watch(state: State): void {
    clearTimeout(this.#limit);
    if (state.name === "elsewhere") {
      this.#limit = setTimeout(() => void this.#lookElsewhere(), AGAIN_MS);
      return;
    }
    const ms = { ...LIMITS_MS, ...this.#way.limits }[state.name];
    if (ms === undefined) return;
    this.#limit = setTimeout(() => {
      const detail = this.#view.trouble?.detail ?? "";
      this.#happen({ type: "overdue", detail });
    }, ms);
  }

  /** Whether the other tab's call still runs. */
  async #lookElsewhere(): Promise<void> {
    const running = await this.#way.running().catch(() => null);
    const { state } = this.#view;
    if (state.name !== "elsewhere") return;
    const id = state.conversation.conversation_id;
    const runs = running?.some((one) => one.conversation_id === id) ?? true;
    if (runs) this.#watch(state);
    else this.#isOver(id, "elsewhere", null);
  }

  /** From now on the server's clock counts. */
  #began(conversation: Conversation): void {
    this.#show({ sinceMs: Date.now() - (conversation.age_ms ?? 0) });
  }

  #perform(act: Act): void {
    switch (act.do) {
      case "open_stream":
        this.#stream?.close();
        this.#stream = this.#way.openStream(this.#streamListener());
        break;
      case "close_stream":
        this.#stream?.close();
        this.#stream = null;
        this.#link("stream", true);
        break;
      case "create":
        this.#way.create(act.options).then(
          (conversation) => {
            if (!conversation.elsewhere) this.#began(conversation);
            this.#happen({ type: "created", conversation });
          },
          (error: unknown) => {
            this.#happen({ type: "create_failed", problem: problemOf(error) });
          },
        );
        break;
      case "join":
        this.#seat.join(act.conversation, this.#way.relays);
        break;
      case "rejoin":
        void this.#rejoin(act.id);
        break;
      case "leave_room":
        clearTimeout(this.#alarm);
        this.#seat.leave();
        this.#link("room", true);
        this.#show({
          microphone: false,
          camera: false,
          notice: null,
          takes: this.#way.takes ?? [],
        });
        break;
      case "await_end":
        this.#alarm = setTimeout(() => {
          this.#happen({ type: "end_overdue" });
        }, AWAIT_END_MS);
        break;
      case "check":
        void this.#check(act.id);
        break;
      case "end":
        void this.#end(act.id);
    }
  }

  /** Asks whether a conversation is over; says nothing when it is not. */
  async #check(id: string): Promise<void> {
    try {
      const now = await this.#way.state(id);
      if (now.status === "ended")
        this.#isOver(id, now.reason ?? "", now.duration_ms ?? null);
    } catch (error) {
      if (error instanceof ApiError && error.status === 404)
        this.#isOver(id, "", null);
      else this.#problem("Its state is unknown", problemOf(error));
    }
  }

  /** Joins what runs in another tab, with a key of its own. */
  async #rejoin(id: string): Promise<void> {
    try {
      const running = await this.#way.running();
      const found = running.find((one) => one.conversation_id === id);
      if (!found) {
        this.#isOver(id, "", null);
        return;
      }
      this.#began(found);
      this.#seat.join(found, this.#way.relays);
    } catch (error) {
      this.#happen({ type: "room_failed", problem: problemOf(error) });
    }
  }

  /** Ends it, and does not give up while somebody waits for that. */
  async #end(id: string): Promise<void> {
    for (;;) {
      try {
        await this.#way.end(id);
        break;
      } catch (error) {
        if (error instanceof ApiError && error.status === 404) break;
        this.#happen({ type: "end_failed", problem: problemOf(error) });
        if (!mayPass(error) || !awaitsEnd(this.#view.state, id)) return;
        await pause(AGAIN_MS);
        if (!awaitsEnd(this.#view.state, id)) return;
      }
    }
    // The event may be lost or late; the answer is true already.
    const now = await this.#way.state(id).catch(() => null);
    const ms = now?.duration_ms ?? null;
    this.#isOver(id, now?.reason ?? "end_conversation", ms);
  }

  #isOver(id: string, reason: string, durationMs: number | null): void {
    this.#happen({ type: "over", over: { id, reason, durationMs } });
  }

  #roomListener(): RoomListener {
    return {
      joined: () => {
        this.#happen({ type: "room_joined" });
      },
      faceSent: () => {
        this.#happen({ type: "face_sent" });
      },
      faceLeft: () => {
        this.#happen({ type: "face_left" });
      },
      takes: (takes) => {
        this.#show({ takes });
      },
      trouble: (trouble) => {
        this.#troubled(trouble);
      },
      taken: () => {
        this.#happen({ type: "room_taken" });
      },
      faceJoined: () => {
        this.#happen({ type: "face_joined" });
      },
      message: (message) => {
        this.#heard(message);
      },
      microphone: (microphone) => {
        const { notice } = this.#view;
        const mended = microphone && notice?.kind === "microphone_denied";
        this.#show({ microphone, notice: mended ? null : notice });
      },
      camera: (camera) => {
        this.#show({ camera });
      },
      sound: (on) => {
        const { notice } = this.#view;
        if (!on) this.#show({ notice: { kind: "sound_blocked", detail: "" } });
        else if (notice?.kind === "sound_blocked") this.#show({ notice: null });
      },
      denied: (notice) => {
        this.#show({ notice });
      },
      link: (up) => {
        this.#link("room", up);
      },
      left: (past) => {
        this.#happen({ type: "room_left", past: past ?? null });
      },
      failed: (problem) => {
        this.#happen({ type: "room_failed", problem });
      },
    };
  }

  #heard(message: AppMessage): void {
    if (FACE_SIGNS.has(message.event_type))
      this.#happen({ type: "face_joined" });
    const lines = addMessage(this.#view.lines, message);
    if (lines !== this.#view.lines) this.#show({ lines });
  }

  #streamListener(): StreamListener {
    return {
      event: (name, data) => {
        const report = reportOf(name, data);
        if (report) this.#reported(report);
      },
      link: (up) => {
        this.#link("stream", up);
      },
      failed: (problem, final) => {
        this.#happen({ type: "stream_failed", problem, final });
      },
    };
  }

  #reported(report: Report): void {
    switch (report.type) {
      case "ready":
      case "over":
        this.#happen(report);
        break;
      case "interaction":
        if (!this.#isMine(report.message)) break;
        this.#log(`From the graph: ${report.message.event_type}`);
        this.#seat.send(report.message);
        break;
      case "event":
        // Of the face's coming the room has told, sooner.
        if (!FACE_SIGNS.has(report.eventType))
          this.#log(`Tavus: ${report.eventType}`);
        break;
      case "error":
        // The answer to create will say what it does not try again.
        if (report.retrying) this.#troubled(report.problem);
        else if (this.#view.state.name !== "creating")
          this.#problem("The server", report.problem);
    }
  }

  #isMine(message: AppMessage): boolean {
    const { state } = this.#view;
    const id = isInRoom(state) ? state.conversation.conversation_id : null;
    return (
      message.conversation_id === undefined || message.conversation_id === id
    );
  }

  /** Shown where somebody waits; of a call that goes on the log tells. */
  #troubled(trouble: Problem): void {
    this.#problem("The server tries again", trouble);
    this.#show({ trouble });
  }

  #link(which: Link, up: boolean): void {
    const { down } = this.#view;
    if (down.has(which) !== up) return;
    const now = new Set(down);
    if (up) now.delete(which);
    else now.add(which);
    this.#show({ down: now });
    if (down.size === 0)
      this.#lost = setTimeout(() => {
        const detail = `no ${[...this.#view.down].join(", ")}`;
        this.#happen({
          type: "room_failed",
          problem: { kind: "offline", detail },
        });
      }, LOST_MS);
    if (now.size === 0) clearTimeout(this.#lost);
  }

  #log(text: string): void {
    this.#show({ lines: addLine(this.#view.lines, { text }) });
  }

  #problem(what: string, problem: Problem): void {
    const text = `${what}: ${adviceFor(problem).title}`;
    this.#show({
      lines: addLine(this.#view.lines, { text, kind: "problem" }),
    });
  }

  #show(change: Partial<View>): void {
    this.#view = { ...this.#view, ...change };
    for (const listener of this.#listeners) listener();
  }
}

/** Whether the same request may go better later. */
function mayPass(error: unknown): boolean {
  if (!(error instanceof ApiError)) return false;
  const { status } = error;
  return status === 0 || status === 408 || status === 429 || status >= 500;
}

/** Waits; less when the network comes back. */
function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      removeEventListener("online", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    addEventListener("online", done);
  });
}
