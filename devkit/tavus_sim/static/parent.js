//
// This file is part of TEN Framework, an open source project.
// Licensed under the Apache License, Version 2.0.
// See the LICENSE file for more information.
//
// The page that shows this room in a frame: what it says, what it is told.

const MOST_QUEUED = 500;

export class ParentLink {
  /** @param {(command: object) => void} onCommand gets all but `hello` */
  constructor(onCommand) {
    this._onCommand = onCommand;
    this._origin = null;
    this._queue = [];
    this.onHello = () => {};
    // Alone in its window a room has nobody to talk to.
    if (window.parent !== window) {
      addEventListener("message", (event) => this._receive(event));
    }
  }

  /** Told at once, or when the parent has said hello. */
  post(type, content = {}) {
    const message = { tavus_room: 1, type, ...content };
    if (this._origin) {
      window.parent.postMessage(message, this._origin);
    } else if (this._queue.length < MOST_QUEUED) {
      this._queue.push(message);
    }
  }

  _receive(event) {
    const { source, origin, data } = event;
    if (source !== window.parent || data?.tavus_room !== 1) return;
    if (origin === "null" || (this._origin && origin !== this._origin)) {
      console.warn("room: a message from an origin that cannot be answered");
      return;
    }
    if (data.type === "hello") {
      this._origin = origin;
      const queue = this._queue.splice(0);
      queue.forEach((message) => window.parent.postMessage(message, origin));
      this.onHello();
    } else if (this._origin) {
      this._onCommand(data);
    }
  }
}
