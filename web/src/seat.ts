//
// This file is part of TEN Framework, an open source project.
// Licensed under the Apache License, Version 2.0.
// See the LICENSE file for more information.
//
/** Our place in a room: the room on the stage, and the relay beside it. */
import { problemOf, type Api, type Conversation, type Problem } from "./api";
import { Relay } from "./relay";
import { roomUrl, type MakeRoom } from "./rooms";
import type { AppMessage, Room, RoomListener } from "./rooms/room";

export interface SeatParts {
  api: Pick<Api, "interaction">;
  makeRoom: MakeRoom;
  locks: LockManager | undefined;
}

const MAX_EARLY = 64;

/** @param complain is told of what goes wrong and changes nothing. */
export class Seat {
  #stage: HTMLElement | null = null;
  #awaited: [conversation: Conversation, relays: boolean] | null = null;
  #room: Room | null = null;
  #relay: Relay | null = null;
  #leaving: Promise<void> = Promise.resolve();
  /** What the graph said before we were in the room; then null. */
  #early: AppMessage[] | null = [];

  constructor(
    readonly parts: SeatParts,
    readonly listener: RoomListener,
    readonly complain: (what: string, problem: Problem) => void,
  ) {}

  /** Where the room goes; joining waits until this is there. */
  setStage(stage: HTMLElement | null): void {
    this.#stage = stage;
    if (stage && this.#awaited) this.join(...this.#awaited);
  }

  /** @param relays whether the graph hears what is said in the room. */
  join(conversation: Conversation, relays = true): void {
    this.#awaited = this.#stage ? null : [conversation, relays];
    if (!this.#stage) return;
    const url = roomUrl(conversation.join_url || conversation.conversation_url);
    if (!url) {
      const detail = "The server gave no address of a room.";
      this.listener.failed({ kind: "room_network", detail });
      return;
    }
    const id = conversation.conversation_id;
    this.#relay = relays ? this.#newRelay(id) : null;
    this.#early = [];
    const room = this.parts.makeRoom(url, {
      ...this.listener,
      joined: () => {
        const early = this.#early ?? [];
        this.#early = null;
        this.listener.joined();
        for (const message of early) this.send(message);
      },
      message: (message) => {
        this.#relay?.push(message);
        this.listener.message(message);
      },
    });
    this.#room = room;
    // The room before may still be saying goodbye, with the microphone in use.
    void this.#leaving.then(() => {
      if (this.#room === room && this.#stage) room.join(this.#stage, url);
    });
  }

  leave(): void {
    this.#awaited = null;
    this.#relay?.stop();
    this.#relay = null;
    const room = this.#room;
    this.#room = null;
    if (room)
      this.#leaving = room.leave().catch((error: unknown) => {
        this.complain("The room did not close well", problemOf(error));
      });
  }

  /** Sends a message of the graph into the room, if it is for this tab. */
  send(message: AppMessage): void {
    if (this.#early) this.#early = [...this.#early, message].slice(-MAX_EARLY);
    else if (this.#relay?.mine) this.#room?.send(message);
  }

  /** Sends what a person wants, whichever tab speaks for the graph. */
  sendOwn(message: object): void {
    this.#room?.send(message);
  }

  #newRelay(id: string): Relay {
    return new Relay(
      id,
      (message) => this.parts.api.interaction(id, message),
      (problem) => {
        this.complain("The graph did not hear the room", problem);
      },
      this.parts.locks,
    );
  }

  setMicrophone(on: boolean): void {
    this.#room?.setMicrophone(on);
  }

  setCamera(on: boolean): void {
    this.#room?.setCamera(on);
  }
}
