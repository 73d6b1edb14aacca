//
// This file is part of TEN Framework, an open source project.
// Licensed under the Apache License, Version 2.0.
// See the LICENSE file for more information.
//
/** A room of LiveKit; its code is loaded when needed. */
import type {
  ConnectionQuality,
  ConnectionState,
  DisconnectReason,
  Participant,
  RemoteParticipant,
  RemoteTrack,
  RemoteTrackPublication,
  Room as Connection,
} from "livekit-client";

import type { Problem } from "../api";
import {
  appMessage,
  type AppMessage,
  type Room,
  type RoomListener,
} from "./room";

export type LiveKit = Pick<
  typeof import("livekit-client"),
  | "Room"
  | "RoomEvent"
  | "DisconnectReason"
  | "ConnectionError"
  | "ConnectionErrorReason"
  | "setLogLevel"
>;

/** What the graph and the page say to each other. */
const TOPIC = "ten";

export class LiveKitRoom implements Room {
  #room: Connection | null = null;
  #over = false;
  #faceSeen = false;
  /** The identity of the participant whose picture is shown. */
  #face = "";
  readonly #elements = new Map<RemoteTrack, HTMLMediaElement>();

  /**
   * @param load gets livekit-client; another one in tests.
   */
  constructor(
    readonly listener: RoomListener,
    readonly load: () => Promise<LiveKit> = () => import("livekit-client"),
  ) {}

  join(container: HTMLElement, url: URL): void {
    this.#join(container, url).catch((error: unknown) => {
      const detail =
        error instanceof Error ? error.message : "The room cannot be loaded.";
      this.#fail({ kind: "room_network", detail });
    });
  }

  setMicrophone(on: boolean): void {
    void this.#setDevice("microphone", on);
  }

  setCamera(on: boolean): void {
    void this.#setDevice("camera", on);
  }

  send(message: object): void {
    const packet = new TextEncoder().encode(JSON.stringify(message));
    this.#room?.localParticipant
      .publishData(packet, { reliable: true, topic: TOPIC })
      .catch(() => undefined); // the room tells if it is lost
  }

  async leave(): Promise<void> {
    this.#over = true;
    for (const track of this.#elements.keys()) this.#remove(track);
    await this.#room?.disconnect();
  }

  async #join(container: HTMLElement, url: URL): Promise<void> {
    const livekit = await this.load();
    if (this.#over) return;
    livekit.setLogLevel("warn"); // it tells of every step
    const room = new livekit.Room({ adaptiveStream: true });
    this.#room = room;
    this.#listen(room, livekit, container);
    const server = new URL(url);
    const token = server.searchParams.get("t") ?? "";
    server.searchParams.delete("t");
    try {
      await room.connect(server.href, token);
    } catch (error) {
      const refused =
        error instanceof livekit.ConnectionError &&
        error.reason === livekit.ConnectionErrorReason.NotAllowed;
      this.#fail({
        kind: refused ? "room_not_allowed" : "room_network",
        detail: String(error),
      });
      return;
    }
    if (this.#gone()) {
      await room.disconnect();
      return;
    }
    this.listener.joined();
    await this.#setDevice("microphone", true);
  }

  #listen(room: Connection, livekit: LiveKit, container: HTMLElement): void {
    const { RoomEvent } = livekit;
    room.on(
      RoomEvent.TrackSubscribed,
      (
        track: RemoteTrack,
        _publication: RemoteTrackPublication,
        participant: RemoteParticipant,
      ) => {
        if (!this.#over && participant.isAgent)
          this.#show(track, container, participant.identity);
      },
    );
    room.on(RoomEvent.TrackUnsubscribed, (track: RemoteTrack) => {
      this.#remove(track);
    });
    room.on(
      RoomEvent.DataReceived,
      (payload: Uint8Array, _from, _kind, topic?: string) => {
        if (topic !== TOPIC || this.#over) return;
        const message = appMessage(new TextDecoder().decode(payload));
        if (message) this.#heard(message);
      },
    );
    room.on(RoomEvent.AudioPlaybackStatusChanged, () => {
      if (this.#over) return;
      this.listener.sound(room.canPlaybackAudio);
      // A browser that saw no press yet plays no sound until it sees one.
      if (room.canPlaybackAudio) return;
      for (const press of ["pointerdown", "keydown"])
        addEventListener(press, () => void room.startAudio(), { once: true });
    });
    // Long before the server gives up somebody who died without a goodbye.
    room.on(
      RoomEvent.ConnectionQualityChanged,
      (quality: ConnectionQuality, { identity }: Participant) => {
        if (this.#over || identity !== this.#face) return;
        const now: string = quality;
        if (now === "lost") this.#faceWent();
        else this.#faceCame();
      },
    );
    room.on(RoomEvent.ConnectionStateChanged, (state: ConnectionState) => {
      if (this.#over) return;
      const now: string = state;
      if (now === "connected") this.listener.link(true);
      if (now === "reconnecting" || now === "signalReconnecting")
        this.listener.link(false);
    });
    room.on(RoomEvent.Disconnected, (reason?: DisconnectReason) => {
      if (this.#over) return;
      const { DisconnectReason: why } = livekit;
      if (reason === why.ROOM_DELETED || reason === why.PARTICIPANT_REMOVED)
        this.#end();
      else if (reason === why.DUPLICATE_IDENTITY) this.#taken();
      // By itself when the page is left: it may come back, and is not over.
      else if (reason === why.CLIENT_INITIATED) return;
      // Without a reason it is the end of a try to connect, which says more.
      else if (reason !== undefined)
        this.#fail({ kind: "room_network", detail: why[reason] });
    });
  }

  #show(track: RemoteTrack, container: HTMLElement, identity: string): void {
    const element = track.attach();
    if (isVideo(track)) {
      element.addEventListener("loadeddata", () => {
        this.#face = identity;
        this.#faceCame();
      });
    }
    this.#elements.set(track, element);
    container.append(element);
  }

  #remove(track: RemoteTrack): void {
    track.detach();
    this.#elements.get(track)?.remove();
    this.#elements.delete(track);
    if ([...this.#elements.keys()].some(isVideo)) return;
    this.#face = "";
    this.#faceWent();
  }

  #heard(message: AppMessage): void {
    const { event_type: type, properties = {} } = message;
    this.listener.message(message);
    switch (type) {
      case "agent_ready":
        if (Array.isArray(properties.takes))
          this.listener.takes(properties.takes.map(String));
        break;
      case "error":
        this.#trouble(properties);
        break;
      case "tavus_conversation_created":
        this.listener.faceSent();
        break;
      case "tavus_conversation_ended":
        if (properties.replaced === true) this.#faceWent();
        else
          this.#end({
            reason:
              typeof properties.reason === "string" ? properties.reason : "",
            durationMs: Number(properties.duration_ms ?? Number.NaN) || null,
          });
    }
  }

  #trouble({ kind, detail, fatal, retrying }: Record<string, unknown>): void {
    // What the graph gave the face to say was no use; the call goes on.
    if (kind === "audio") return;
    const problem = { kind: String(kind), detail: String(detail) };
    // Of a face that is there, its own end tells, if it comes to that.
    const hopeless = retrying !== true && !this.#faceSeen;
    if (fatal === true || hopeless) this.#fail(problem);
    else this.listener.trouble(problem);
  }

  #faceCame(): void {
    if (this.#faceSeen || this.#over) return;
    this.#faceSeen = true;
    this.listener.faceJoined();
  }

  #faceWent(): void {
    if (!this.#faceSeen || this.#over) return;
    this.#faceSeen = false;
    this.listener.faceLeft();
  }

  async #setDevice(which: "microphone" | "camera", on: boolean): Promise<void> {
    const me = this.#room?.localParticipant;
    if (!me) return;
    const microphone = which === "microphone";
    try {
      if (microphone) await me.setMicrophoneEnabled(on);
      else await me.setCameraEnabled(on);
    } catch (error) {
      if (this.#over) return;
      const { name, message } = error as Error;
      const detail = `${name}: ${message}`;
      this.listener.denied({ kind: `${which}_denied`, detail });
    }
    if (this.#over) return;
    if (microphone) this.listener.microphone(me.isMicrophoneEnabled);
    else this.listener.camera(me.isCameraEnabled);
  }

  /** A question of its own, because it changes while we wait. */
  #gone(): boolean {
    return this.#over;
  }

  #end(past?: { reason: string; durationMs: number | null }): void {
    if (this.#over) return;
    this.#over = true;
    this.listener.left(past);
  }

  #taken(): void {
    this.#over = true;
    this.listener.taken();
  }

  #fail(problem: Problem): void {
    if (this.#over) return;
    this.#over = true;
    this.listener.failed(problem);
  }
}

function isVideo({ kind }: RemoteTrack): boolean {
  const name: string = kind;
  return name === "video";
}
