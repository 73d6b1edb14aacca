//
// This file is part of TEN Framework, an open source project.
// Licensed under the Apache License, Version 2.0.
// See the LICENSE file for more information.
//
// The room: who is in it, and what it tells its parent and the simulator.

import { Camera, Microphone, refusal } from "./devices.js";
import { Events } from "./events.js";
import { ParentLink } from "./parent.js";
import { Sim } from "./sim.js";
import { Stage } from "./stage.js";
import { Talk } from "./talk.js";
import { Voice } from "./voice.js";

const LEFT = "left"; // the reason when the person went
// How long a silence ends the person's turn, and how long they must speak
// until the face falls silent.
const PAUSE_MS = {
  superlow: 2500,
  verylow: 1800,
  low: 1200,
  medium: 700,
  high: 400,
  auto: 700,
};
const INTERRUPT_MS = {
  superlow: 2500,
  verylow: 1500,
  low: 900,
  medium: 500,
  high: 250,
  auto: 500,
};
const FAILURES = {
  // Tavus's own words (openapi.yaml, require_auth).
  not_allowed: [
    "You cannot come in",
    "You are not allowed to join this meeting.",
  ],
  ended: ["It is over", "This conversation has ended."],
  full: ["The room is full", "Everybody it has room for is there."],
  network: ["Connection lost", "The simulator does not answer."],
};

class Room {
  constructor() {
    this._sim = new Sim(window.location);
    this._stage = new Stage();
    this._mouth = (shape) => this._stage.face.mouth(shape);
    this._voice = new Voice(this._mouth);
    this._camera = new Camera((on) => {
      this._stage.selfView(this._camera.stream);
      this._turned("camera", on);
    });
    this._microphone = new Microphone({
      change: (on) => this._turned("microphone", on),
      level: (level) => this._stage.level(level),
      speech: (...speech) => this._talkIfLive()?.spoken(...speech),
    });
    this._view = null; // what the simulator knows of the conversation
    this._talk = null; // once the person is in
    this._live = false; // the face is there
    this._closed = false;
    // App messages are obeyed one by one, in the order they came.
    this._messages = Promise.resolve();
    this._stage.listen({
      say: (text) => this._talkIfLive()?.typed(text),
      turn: (name, on) => this._turn(name, on),
      leave: () => this._leave(),
    });
    this._parent = new ParentLink((command) => this._obeyParent(command));
    this._parent.onHello = () => this._stage.framed();
    // Back from the browser's cache the page has no connection.
    addEventListener("pageshow", (event) => {
      if (event.persisted) window.location.reload();
    });
  }

  /** Comes in, and stays until it is over. */
  enter() {
    this._sim.attend({
      view: (view) => this._seen(view),
      refused: () => this._refused(),
      lost: () => this._fail("network"),
    });
  }

  _seen(view) {
    if (!this._talk) this._join(view);
    if (view.status === "ended") {
      this._ended(view.shutdown_reason);
    } else if (view.replica_joined && !this._live) {
      this._faceIsThere(view.replica_was_there ? "present" : "joined");
    }
  }

  _join(view) {
    this._view = view;
    this._stage.introduce(view);
    this._stage.state("waiting", "Waiting for the face…");
    const send = (message) => this._parent.post("app-message", { message });
    this._events = new Events(this._sim.conversationId, send);
    this._talk = new Talk({
      events: this._events,
      voice: this._voice,
      view,
      onMouth: this._mouth,
      onSpeaking: (speaking) => this._stage.speaking(speaking),
      onCaption: (text, letters) => {
        const silent = !this._voice.canSpeak(view.language);
        this._stage.caption(text, letters, silent);
      },
      cameraOn: () => Boolean(this._camera.stream),
    });
    this._parent.post("joined");
    this._turned("microphone", Boolean(this._microphone.stream));
    this._turned("camera", Boolean(this._camera.stream));
  }

  async _refused() {
    try {
      const { status, body } = await this._sim.view();
      if (this._closed) return;
      if (status === 403) return this._fail("not_allowed");
      const open = status === 200 && body.status === "active";
      this._fail(open ? "full" : "ended");
    } catch (problem) {
      this._unanswered(problem);
      this._fail("network");
    }
  }

  /** @param {string} how it "joined", or was "present" already */
  _faceIsThere(how) {
    const { replica_id } = this._view;
    this._live = true;
    this._stage.face.start();
    this._stage.state("live");
    this._events.system(`replica_${how}`, { replica_id });
    this._events.system(`pal_${how}`, { face_id: replica_id });
    this._parent.post("face-joined");
    if (how === "joined") this._talk.greet();
  }

  _obeyParent({ type, on, message }) {
    if (this._closed) return;
    switch (type) {
      case "set-microphone":
        this._turn("microphone", on === true);
        break;
      case "set-camera":
        this._turn("camera", on === true);
        break;
      case "leave":
        this._leave();
        break;
      case "app-message":
        this._messages = this._messages.then(() => this._appMessage(message));
        break;
      default:
        console.warn(`room: unknown message ${JSON.stringify(type)}`);
    }
  }

  async _appMessage(message) {
    if (!this._talk || this._closed) return;
    let record;
    try {
      record = await this._sim.record(message);
    } catch (problem) {
      this._unanswered(problem);
      return;
    }
    if (record.problem) {
      console.warn(`room: an app message is no use: ${record.problem}`);
    } else if (!this._closed) {
      // The simulator may have known of the face before we did.
      if (!this._live) this._faceIsThere("joined");
      this._obey(message, record.inference_id);
    }
  }

  _obey(message, inferenceId) {
    if (message.event_type !== "conversation.sensitivity") {
      this._talk.obey(message, inferenceId);
      return;
    }
    const wish = message.properties;
    const pause_ms = PAUSE_MS[wish.participant_pause_sensitivity];
    const interrupt_ms = INTERRUPT_MS[wish.participant_interrupt_sensitivity];
    this._microphone.pause_ms = pause_ms ?? this._microphone.pause_ms;
    this._talk.interrupt_ms = interrupt_ms ?? this._talk.interrupt_ms;
  }

  async _turn(name, on) {
    const device = name === "camera" ? this._camera : this._microphone;
    try {
      await device.turn(on);
    } catch (problem) {
      const detail = refusal(name, problem);
      this._parent.post("error", { kind: `${name}_denied`, detail });
      this._turned(name, false);
      this._stage.status(detail);
    }
  }

  _turned(name, on) {
    this._stage.turned(name, on);
    this._parent.post(name, { on });
  }

  _talkIfLive() {
    return this._live && !this._closed ? this._talk : null;
  }

  _leave() {
    if (this._closed) return;
    this._close("You have left", "The room stays open for the others.");
    this._parent.post("left", { reason: LEFT });
  }

  _ended(reason) {
    const { replica_id } = this._view;
    const words = reason.replaceAll("_", " ");
    this._close("It is over", `This conversation has ended: ${words}.`);
    const properties = { replica_id, shutdown_reason: reason };
    this._events.system("shutdown", properties);
    this._parent.post("left", { reason });
  }

  /** @param {string} kind one of FAILURES */
  _fail(kind) {
    const [title, detail] = FAILURES[kind];
    this._close(title, detail);
    this._parent.post("error", { kind, detail });
  }

  _close(title, detail) {
    this._closed = true;
    this._sim.leave();
    this._talk?.interrupt();
    this._microphone.turn(false);
    this._camera.turn(false);
    this._stage.close(title, detail);
  }

  _unanswered(problem) {
    console.warn("room: the simulator does not answer", problem);
  }
}

new Room().enter();
