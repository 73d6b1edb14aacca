//
// This file is part of TEN Framework, an open source project.
// Licensed under the Apache License, Version 2.0.
// See the LICENSE file for more information.
//
// Plays what conversation.echo brings as audio: 16-bit mono PCM in pieces,
// which may come faster than they are played.

import { CLOSED } from "./mouth.js";

const LEVEL_MS = 40;
const LOUD = 0.25; // of full scale: an open mouth
// Tavus waits for `done`; nobody waits for ever.
const GIVE_UP_MS = 3000;

export class PcmPlayback {
  /**
   * @param {(shape: {open: number, wide: number}) => void} onMouth
   * @param {(end: {interrupted: boolean}) => void} onEnd called once
   */
  constructor(onMouth, onEnd) {
    this._onMouth = onMouth;
    this._onEnd = onEnd;
    this._context = new AudioContext();
    this._context.resume().catch(() => {}); // silent until somebody clicks
    this._levels = [];
    this._startedAt = 0;
    this._until = 0; // when all there is so far has been played
    this._done = false;
    this._over = false;
    this._ticker = setInterval(() => this._tick(), LEVEL_MS);
  }

  /**
   * @param {string} audio base64
   * @param {number} rate_hz
   * @param {boolean} done whether it is the last piece
   */
  push(audio, rate_hz, done) {
    if (this._over) return;
    this._done ||= done;
    const samples = decoded(audio);
    const now = performance.now();
    const from = Math.max(this._until, now);
    this._startedAt ||= now;
    if (samples.length) this._play(samples, rate_hz, (from - now) / 1000);
    this._until = from + (samples.length / rate_hz) * 1000;
    const step = Math.max(1, Math.round((rate_hz * LEVEL_MS) / 1000));
    const first = Math.round((from - this._startedAt) / LEVEL_MS);
    for (let at = 0; at < samples.length; at += step) {
      const piece = samples.subarray(at, at + step);
      this._levels[first + at / step] = loudness(piece);
    }
    this._arm();
  }

  /** Cuts it off. */
  stop() {
    this._finish(true);
  }

  _play(samples, rate_hz, in_s) {
    const buffer = this._context.createBuffer(1, samples.length, rate_hz);
    buffer.copyToChannel(samples, 0);
    const source = this._context.createBufferSource();
    source.buffer = buffer;
    source.connect(this._context.destination);
    source.start(this._context.currentTime + in_s);
  }

  _arm() {
    clearTimeout(this._timer);
    const left_ms = this._until - performance.now();
    const wait_ms = this._done ? left_ms : left_ms + GIVE_UP_MS;
    this._timer = setTimeout(() => this._finish(false), wait_ms);
  }

  _tick() {
    const index = (performance.now() - this._startedAt) / LEVEL_MS;
    const level = this._levels[Math.floor(index)] ?? 0;
    this._onMouth({ open: Math.min(1, level / LOUD), wide: 0.5 });
  }

  _finish(interrupted) {
    if (this._over) return;
    this._over = true;
    clearTimeout(this._timer);
    clearInterval(this._ticker);
    this._context.close();
    this._onMouth(CLOSED);
    this._onEnd({ interrupted });
  }
}

function decoded(audio) {
  const bytes = Uint8Array.from(atob(audio), (char) => char.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  const samples = new Float32Array(bytes.length / 2);
  for (let i = 0; i < samples.length; i++) {
    samples[i] = view.getInt16(i * 2, true) / 32768;
  }
  return samples;
}

/** The root mean square of samples. */
export function loudness(samples) {
  let sum = 0;
  for (const sample of samples) sum += sample * sample;
  return Math.sqrt(sum / Math.max(1, samples.length));
}
