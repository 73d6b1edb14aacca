//
// This file is part of TEN Framework, an open source project.
// Licensed under the Apache License, Version 2.0.
// See the LICENSE file for more information.
//
// The microphone and the camera of the person in the room. Nothing is sent
// anywhere: the one is only measured, the other only shown to its owner.

import { loudness } from "./pcm.js";

const MEASURE_MS = 50;
const SPEECH_LEVEL = 0.02;
const SPEECH_STARTS_MS = 200;

class Device {
  /**
   * @param {MediaStreamConstraints} wish
   * @param {(on: boolean) => void} onChange
   */
  constructor(wish, onChange) {
    this._wish = wish;
    this._onChange = onChange;
    this._asked = 0;
    this.stream = null;
  }

  /** @throws {DOMException} when the person or the browser refuses */
  async turn(on) {
    const asked = ++this._asked;
    if (!on) {
      this._release();
    } else if (!this.stream) {
      const stream = await navigator.mediaDevices.getUserMedia(this._wish);
      if (asked !== this._asked) {
        // Turned off again while the browser was asking.
        stream.getTracks().forEach((track) => track.stop());
        return;
      }
      this.stream = stream;
      const [track] = stream.getTracks();
      track.onended = () => this.turn(false); // unplugged
      this._started();
    }
    this._onChange(on);
  }

  _started() {}

  _release() {
    this.stream?.getTracks().forEach((track) => track.stop());
    this.stream = null;
  }
}

export class Camera extends Device {
  constructor(onChange) {
    super({ video: { facingMode: "user", width: 320 } }, onChange);
  }
}

export class Microphone extends Device {
  /**
   * @param {object} on
   * @param {(on: boolean) => void} on.change
   * @param {(level: number) => void} on.level from 0 to 1
   * @param {(speaking: boolean, for_ms: number) => void} on.speech
   */
  constructor({ change, level, speech }) {
    super({ audio: { echoCancellation: true } }, change);
    this._onLevel = level;
    this._onSpeech = speech;
    this.pause_ms = 700; // so much silence ends a turn
  }

  _started() {
    this._context = new AudioContext();
    const analyser = this._context.createAnalyser();
    this._context.createMediaStreamSource(this.stream).connect(analyser);
    const samples = new Float32Array(analyser.fftSize);
    this._loudSince = this._quietSince = 0;
    this._speaking = false;
    this._ticker = setInterval(() => {
      analyser.getFloatTimeDomainData(samples);
      this._measured(loudness(samples));
    }, MEASURE_MS);
  }

  _release() {
    if (!this.stream) return;
    super._release();
    clearInterval(this._ticker);
    this._context.close();
    this._onLevel(0);
    if (this._speaking) this._onSpeech(false, 0);
  }

  _measured(level) {
    this._onLevel(Math.min(1, level * 6));
    const now = performance.now();
    if (level < SPEECH_LEVEL) {
      this._quietSince ||= now;
      if (!this._speaking) {
        this._loudSince = 0;
      } else if (now - this._quietSince >= this.pause_ms) {
        this._speaking = false;
        this._onSpeech(false, this._quietSince - this._loudSince);
        this._loudSince = 0;
      }
      return;
    }
    this._quietSince = 0;
    this._loudSince ||= now;
    const for_ms = now - this._loudSince;
    if (for_ms >= SPEECH_STARTS_MS) {
      this._speaking = true;
      this._onSpeech(true, for_ms);
    }
  }
}

/** Why a device stays off, in words. */
export function refusal(name, problem) {
  switch (problem.name) {
    case "NotFoundError":
      return `No ${name} was found.`;
    case "NotAllowedError":
      return `The ${name} was not allowed.`;
    default:
      return `The ${name} does not work: ${problem.message}`;
  }
}
