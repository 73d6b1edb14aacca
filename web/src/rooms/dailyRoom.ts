//
// This file is part of TEN Framework, an open source project.
// Licensed under the Apache License, Version 2.0.
// See the LICENSE file for more information.
//
/** A Daily room, in Daily's own call frame; its code is loaded when needed. */
import type {
  DailyCall,
  DailyCameraErrorObject,
  DailyCameraErrorType,
  DailyFactoryOptions,
  DailyFatalErrorType,
  DailyParticipant,
} from "@daily-co/daily-js";

import type { Problem } from "../api";
import { appMessage, type Room, type RoomListener } from "./room";

/** The part of daily-js that is used. */
export interface Daily {
  createFrame: (parent: HTMLElement, options: DailyFactoryOptions) => DailyCall;
}

// Whatever is missing here is the network's fault, or cannot be told from it.
const FATAL: Partial<Record<DailyFatalErrorType, string>> = {
  "nbf-room": "room_not_allowed",
  "nbf-token": "room_not_allowed",
  "exp-token": "room_not_allowed",
  "not-allowed": "room_not_allowed",
  "meeting-full": "room_full",
};
// The room is over rather than broken.
const OVER = new Set<DailyFatalErrorType>(["ejected", "exp-room", "no-room"]);
// How Tavus's participants are known: tavus-examples, use-replica-ids.
const FACE = "tavus-replica";
// daily-js itself waits for ever for a frame that does not load.
const LOAD_TIMEOUT_MS = 20_000;
const LEAVE_TIMEOUT_MS = 3_000;

export class DailyRoom implements Room {
  #call: DailyCall | null = null;
  #over = false;
  #faceSeen = false;
  #alarm: ReturnType<typeof setTimeout> | undefined;

  /**
   * @param load gets daily-js; another one in tests.
   */
  constructor(
    readonly listener: RoomListener,
    readonly load: () => Promise<Daily> = async () =>
      (await import("@daily-co/daily-js")).default,
  ) {}

  join(container: HTMLElement, url: URL): void {
    this.#join(container, url).catch((error: unknown) => {
      const detail =
        error instanceof Error ? error.message : "The room cannot be loaded.";
      // join() rejects besides the "error" event, which says more.
      this.#fail({ kind: "room_network", detail });
    });
  }

  setMicrophone(on: boolean): void {
    this.#call?.setLocalAudio(on);
  }

  setCamera(on: boolean): void {
    this.#call?.setLocalVideo(on);
  }

  send(message: object): void {
    if (this.#call?.meetingState() === "joined-meeting")
      this.#call.sendAppMessage(message, "*");
  }

  async leave(): Promise<void> {
    this.#over = true;
    clearTimeout(this.#alarm);
    const call = this.#call;
    if (!call) return;
    const frame = call.iframe();
    // destroy() waits for the frame's goodbye, which may never come.
    await Promise.race([
      call.destroy(),
      new Promise((resolve) => setTimeout(resolve, LEAVE_TIMEOUT_MS)),
    ]);
    frame?.remove();
  }

  async #join(container: HTMLElement, url: URL): Promise<void> {
    const daily = await this.load();
    if (this.#over) return;
    const call = daily.createFrame(container, {
      // One whose goodbye is late must not keep the next one out.
      allowMultipleCallInstances: true,
      showLeaveButton: false,
      showFullscreenButton: true,
      showUserNameChangeUI: false,
      startVideoOff: true,
      startAudioOff: false,
      iframeStyle: { width: "100%", height: "100%", border: "0" },
    });
    this.#call = call;
    call.iframe()?.setAttribute("title", "Video room");
    this.#listen(call);
    this.#alarm = setTimeout(() => {
      this.#fail({ kind: "room_network", detail: "The room did not answer." });
    }, LOAD_TIMEOUT_MS);
    const room = new URL(url);
    const token = room.searchParams.get("t");
    room.searchParams.delete("t");
    await call.join(token ? { url: room.href, token } : { url: room.href });
  }

  #listen(call: DailyCall): void {
    const meet = (one: DailyParticipant) => {
      if (this.#over || one.local || this.#faceSeen) return;
      if (!one.user_id.includes(FACE)) return;
      this.#faceSeen = true;
      this.listener.faceJoined();
    };
    call.on("loaded", () => {
      clearTimeout(this.#alarm);
    });
    call.on("joined-meeting", ({ participants }) => {
      if (this.#over) return;
      this.listener.joined();
      this.#tellDevices(call);
      Object.values(participants).forEach(meet);
    });
    call.on("participant-joined", ({ participant }) => {
      meet(participant);
    });
    call.on("participant-updated", ({ participant }) => {
      if (participant.local) this.#tellDevices(call);
      else meet(participant);
    });
    call.on("participant-left", ({ participant }) => {
      if (this.#over || !this.#faceSeen) return;
      if (participant.local || !participant.user_id.includes(FACE)) return;
      this.#faceSeen = false;
      this.listener.faceLeft();
    });
    const interrupted = new Set<string>();
    call.on("network-connection", ({ type, event }) => {
      if (this.#over || type === "peer-to-peer") return;
      if (event === "interrupted") interrupted.add(type);
      else interrupted.delete(type);
      this.listener.link(interrupted.size === 0);
    });
    call.on("app-message", ({ data }) => {
      const message = appMessage(data);
      if (message && !this.#over) this.listener.message(message);
    });
    call.on("camera-error", ({ error }) => {
      if (!this.#over) this.listener.denied(deviceProblem(error));
    });
    call.on("left-meeting", () => {
      this.#end();
    });
    call.on("error", ({ error, errorMsg }) => {
      const { type } = (error ?? {}) as { type?: DailyFatalErrorType };
      if (type && OVER.has(type)) this.#end();
      else {
        const kind = (type && FATAL[type]) ?? "room_network";
        this.#fail({ kind, detail: errorMsg });
      }
    });
  }

  #tellDevices(call: DailyCall): void {
    if (this.#over) return;
    this.listener.microphone(call.localAudio());
    this.listener.camera(call.localVideo());
  }

  #end(): void {
    if (this.#over) return;
    this.#over = true;
    this.listener.left();
  }

  #fail(problem: Problem): void {
    if (this.#over) return;
    this.#over = true;
    this.listener.failed(problem);
  }
}

/** Which device a camera-error is about: Daily names it so for both. */
function deviceProblem(
  error: DailyCameraErrorObject<DailyCameraErrorType>,
): Problem {
  const microphone =
    error.type === "permissions"
      ? error.blockedMedia.includes("audio")
      : error.type === "not-found"
        ? error.missingMedia.includes("audio")
        : error.type === "constraints"
          ? error.failedMedia.includes("audio")
          : error.type !== "cam-in-use";
  const kind = microphone ? "microphone_denied" : "camera_denied";
  return { kind, detail: error.msg };
}
