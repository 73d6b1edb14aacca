//
// This file is part of TEN Framework, an open source project.
// Licensed under the Apache License, Version 2.0.
// See the LICENSE file for more information.
//
// What the page of a room asks the simulator.

const TIMEOUT_MS = 5000;
const LOST_AFTER_MS = 5000;

export class Sim {
  /** @param {Location} location of the page: /room/{id}?t={token} */
  constructor(location) {
    this.conversationId = location.pathname.split("/").pop();
    const token = new URLSearchParams(location.search).get("t");
    this._query = token === null ? "" : `?t=${encodeURIComponent(token)}`;
    this._base = `/sim/conversations/${this.conversationId}`;
  }

  /** @returns {Promise<{status: number, body: object}>} what the room is */
  async view() {
    return this._ask("GET", `/room${this._query}`);
  }

  /**
   * Comes in, and is in the room for as long as the connection lasts.
   *
   * @param {object} on
   * @param {(view: object) => void} on.view what the room is, or has become
   * @param {() => void} on.refused there is no way in (any more)
   * @param {() => void} on.lost nobody has answered for too long
   */
  attend({ view, refused, lost }) {
    const source = new EventSource(`${this._base}/presence${this._query}`);
    let lostTimer;
    const answered = () => {
      clearTimeout(lostTimer);
      lostTimer = undefined;
    };
    source.onopen = answered;
    source.onmessage = ({ data }) => view(JSON.parse(data));
    source.onerror = () => {
      if (source.readyState === EventSource.CLOSED) {
        answered();
        refused();
      } else {
        lostTimer ??= setTimeout(lost, LOST_AFTER_MS);
      }
    };
    this._stop = () => {
      answered();
      source.close();
    };
  }

  leave() {
    this._stop?.();
  }

  /**
   * Puts an app message on record.
   * @returns {Promise<{problem: ?string, inference_id: ?string}>}
   */
  async record(message) {
    const path = `/interactions${this._query}`;
    const { status, body } = await this._ask("POST", path, message);
    return status === 200 ? body : { problem: body.error };
  }

  async _ask(method, path, content) {
    const reply = await fetch(this._base + path, {
      method,
      body: content === undefined ? undefined : JSON.stringify(content),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    const text = await reply.text();
    return { status: reply.status, body: text ? JSON.parse(text) : {} };
  }
}
