//
// This file is part of TEN Framework, an open source project.
// Licensed under the Apache License, Version 2.0.
// See the LICENSE file for more information.
//
/**
 * A room that is a page of its own in a frame, as the simulator's.
 *
 * The messages, all {"tavus_room": 1, "type": …}: we say hello first, so that
 * the room knows whom to answer, and speak to its origin only.
 */
import type { Problem } from "../api";
import { appMessage, type Room, type RoomListener } from "./room";

// A frame that failed to load is silent too: no event tells.
const HELLO_TIMEOUT_MS = 20_000;
const LEAVE_TIMEOUT_MS = 500;

const FATAL: Record<string, string> = {
  not_allowed: "room_not_allowed",
  full: "room_full",
  network: "room_network",
};

export class FrameRoom implements Room {
  readonly #frame = document.createElement("iframe");
  #origin = "";
  #alarm: ReturnType<typeof setTimeout> | undefined;
  #over = false;
  #gone: () => void = () => undefined;

  constructor(readonly listener: RoomListener) {}

  join(container: HTMLElement, url: URL): void {
    this.#origin = url.origin;
    this.#frame.title = "Video room";
    this.#frame.allow = "microphone; camera; autoplay; display-capture";
    this.#frame.src = url.href;
    this.#frame.addEventListener("load", () => {
      this.#post({ type: "hello" });
    });
    addEventListener("message", this.#heard);
    this.#alarm = setTimeout(() => {
      this.#fail({ kind: "room_network", detail: "The room did not answer." });
    }, HELLO_TIMEOUT_MS);
    container.append(this.#frame);
  }

  setMicrophone(on: boolean): void {
    this.#post({ type: "set-microphone", on });
  }

  setCamera(on: boolean): void {
    this.#post({ type: "set-camera", on });
  }

  send(message: object): void {
    this.#post({ type: "app-message", message });
  }

  async leave(): Promise<void> {
    this.#over = true;
    clearTimeout(this.#alarm);
    await new Promise<void>((resolve) => {
      this.#gone = resolve;
      setTimeout(resolve, LEAVE_TIMEOUT_MS);
      this.#post({ type: "leave" });
    });
    removeEventListener("message", this.#heard);
    this.#frame.remove();
  }

  #post(message: object): void {
    this.#frame.contentWindow?.postMessage(
      { tavus_room: 1, ...message },
      this.#origin,
    );
  }

  readonly #heard = (event: MessageEvent<unknown>): void => {
    const { data, source, origin } = event;
    if (source !== this.#frame.contentWindow || origin !== this.#origin) return;
    if (typeof data !== "object" || data === null) return;
    const said = data as Record<string, unknown>;
    if (said.tavus_room !== 1) return;
    clearTimeout(this.#alarm);
    if (said.type === "left") this.#gone();
    if (!this.#over) this.#take(said);
  };

  #take(said: Record<string, unknown>): void {
    switch (said.type) {
      case "joined":
        this.listener.joined();
        this.setMicrophone(true);
        break;
      case "face-joined":
        this.listener.faceJoined();
        break;
      case "app-message": {
        const message = appMessage(said.message);
        if (message) this.listener.message(message);
        break;
      }
      case "microphone":
        this.listener.microphone(said.on === true);
        break;
      case "camera":
        this.listener.camera(said.on === true);
        break;
      case "left":
        this.#over = true;
        this.listener.left();
        break;
      case "error":
        this.#error(textOf(said.kind), textOf(said.detail));
    }
  }

  #error(kind: string, detail: string): void {
    if (kind === "microphone_denied" || kind === "camera_denied") {
      this.listener.denied({ kind, detail });
    } else if (kind === "ended") {
      this.#over = true;
      this.listener.left();
    } else {
      this.#fail({ kind: FATAL[kind] ?? "room_network", detail });
    }
  }

  #fail(problem: Problem): void {
    if (this.#over) return;
    this.#over = true;
    clearTimeout(this.#alarm);
    this.listener.failed(problem);
  }
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}
