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
import { addLine, addMessage, type Line } from "./log";
import type { AppMessage, RoomListener } from "./rooms/room";
import { reportOf, type Report } from "./reports";
import { Seat, type SeatParts } from "./seat";
import {
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
  /** The event stream is open, or nobody needs it. */
  linked: boolean;
  microphone: boolean;
  camera: boolean;
  /** What went wrong without ending the visit. */
  notice: Problem | null;
  lines: readonly Line[];
  /** When the face joined, in ms of Date.now(). */
  liveSinceMs: number | null;
}

export interface Parts extends SeatParts {
  api: Api;
  openStream: OpenStream;
}

/** For Tavus's report, after the room says that it is over. */
const AWAIT_END_MS = 4_000;
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
    linked: true,
    microphone: false,
    camera: false,
    notice: null,
    lines: [],
    liveSinceMs: null,
  };
  readonly #listeners = new Set<() => void>();
  readonly #seat: Seat;
  #way: Way;
  #options = NO_OPTIONS;
  #visits = 0;
  #stream: { close: () => void } | null = null;
  #alarm: ReturnType<typeof setTimeout> | undefined;

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
      this.#show({ config });
      // Without the token it may not ask; the person enters it first.
      const may = !config.token_needed || this.parts.api.token() !== "";
      const running = may ? await this.#running() : [];
      const [first = null] = running;
      if (first) this.#log("Welcome back: your conversation still runs");
      this.#happen({ type: "loaded", running: first });
    } catch (error) {
      this.#happen({ type: "load_failed", problem: problemOf(error) });
    }
  }

  start(options: Options = this.#options): void {
    this.#options = options;
    this.#visits += 1;
    this.#show({ lines: [], notice: null });
    this.#happen({ type: "start", options });
  }

  /** Ends the conversation, or the try to make one. */
  leave(): void {
    this.#happen({ type: "leave" });
  }

  /** The page closes; there is no time to wait for anything. */
  abandon(): void {
    const { state } = this.#view;
    if (isInRoom(state)) this.#way.abandon(state.conversation.conversation_id);
  }

  /** Has the face stop speaking. */
  interrupt(): void {
    this.#seat.interrupt();
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
    if (state !== before) {
      const live = state.name === "live";
      const since = this.#view.liveSinceMs ?? Date.now();
      this.#show({ state, liveSinceMs: live ? since : null });
      const text = happened(state.name);
      if (text && state.name !== before.name) this.#log(text);
      if (state.name === "failed") this.#problem("Stopped", state.problem);
    }
    for (const act of acts) this.#perform(act);
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
        this.#show({ linked: true });
        break;
      case "create":
        this.#way.create(act.options).then(
          (conversation) => {
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
      case "leave_room":
        clearTimeout(this.#alarm);
        this.#seat.leave();
        this.#show({ microphone: false, camera: false, notice: null });
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

  async #end(id: string): Promise<void> {
    try {
      await this.#way.end(id);
    } catch (error) {
      const gone = error instanceof ApiError && error.status === 404;
      if (!gone) {
        this.#happen({ type: "end_failed", problem: problemOf(error) });
        return;
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
      denied: (notice) => {
        this.#show({ notice });
      },
      link: (linked) => {
        this.#show({ linked });
      },
      left: () => {
        this.#happen({ type: "room_left" });
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
      link: (linked) => {
        this.#show({ linked });
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
        // The answer to create will say the same.
        if (this.#view.state.name !== "creating")
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

  #log(text: string): void {
    this.#show({ lines: addLine(this.#view.lines, { text }) });
  }

  #problem(what: string, problem: Problem): void {
    const text = `${what}: ${problem.detail || problem.kind}`;
    this.#show({
      lines: addLine(this.#view.lines, { text, kind: "problem" }),
    });
  }

  #show(change: Partial<View>): void {
    this.#view = { ...this.#view, ...change };
    for (const listener of this.#listeners) listener();
  }
}
