//
// This file is part of TEN Framework, an open source project.
// Licensed under the Apache License, Version 2.0.
// See the LICENSE file for more information.
//
// Says a text: with the browser's voice where there is one, else in silence
// and in about the same time. Either way it ends, and can be cut short.

import { CLOSED, shapeOf } from "./mouth.js";

const LETTERS_PER_S = 15;
const TICK_MS = 60;
const START_WITHIN_MS = 1500;

export class Voice {
  /**
   * @param {(shape: {open: number, wide: number}) => void} onMouth
   */
  constructor(onMouth) {
    this._onMouth = onMouth;
    this._synthesis = window.speechSynthesis;
    this._current = null;
    // The list of voices fills itself only after the first question.
    this._synthesis?.getVoices();
  }

  /**
   * @param {string} text
   * @param {string} language a code such as "en"
   * @param {(letters: number) => void} onProgress how far it has come
   * @returns {Promise<{letters: number, interrupted: boolean}>}
   */
  say(text, language, onProgress) {
    return new Promise((resolve) => {
      const speech = new Speech(text, onProgress, this._onMouth, (result) => {
        this._current = null;
        resolve(result);
      });
      this._current = speech;
      const voice = this._voice(language);
      if (voice && text.trim()) {
        speech.aloud(this._synthesis, voice);
      } else {
        speech.inSilence();
      }
    });
  }

  /** Whether the browser can say something in this language. */
  canSpeak(language) {
    return Boolean(this._voice(language));
  }

  /** Cuts off what is being said. */
  stop() {
    this._current?.end(true);
  }

  _voice(language) {
    // Only voices of this machine: others send the text to somebody.
    const voices = this._synthesis?.getVoices() ?? [];
    const local = voices.filter((voice) => voice.localService);
    return local.find((voice) => voice.lang.startsWith(language));
  }
}

class Speech {
  constructor(text, onProgress, onMouth, onEnd) {
    this._text = text;
    this._onProgress = onProgress;
    this._onMouth = onMouth;
    this._onEnd = onEnd;
    this._from = 0; // letters that had been said at _since
    this._since = 0;
    this._timers = [];
    this._synthesis = null;
    this._over = false;
  }

  inSilence() {
    this._begin(this._letters());
    const left = this._text.length - this._from;
    this._after((left / LETTERS_PER_S) * 1000, () => this.end(false));
  }

  aloud(synthesis, voice) {
    this._synthesis = synthesis;
    const utterance = new SpeechSynthesisUtterance(this._text);
    utterance.voice = voice;
    utterance.lang = voice.lang;
    utterance.onstart = () => {
      this._clear();
      this._begin(0);
      // Some engines never report the end.
      const longest_ms = (this._text.length / LETTERS_PER_S) * 2500 + 3000;
      this._after(longest_ms, () => this.end(false));
    };
    utterance.onboundary = (event) => this._moveTo(event.charIndex);
    utterance.onend = () => this.end(false);
    // "not-allowed" until somebody has clicked; there are others.
    utterance.onerror = () => this._silenced();
    this._after(START_WITHIN_MS, () => this._silenced());
    synthesis.cancel(); // a stuck engine takes nothing new
    synthesis.speak(utterance);
  }

  end(interrupted) {
    if (this._over) return;
    this._over = true;
    const letters = interrupted ? this._letters() : this._text.length;
    this._clear();
    this._synthesis?.cancel();
    this._onMouth(CLOSED);
    this._onProgress(letters);
    this._onEnd({ letters, interrupted });
  }

  _silenced() {
    if (this._over) return;
    this._clear();
    this._synthesis.cancel();
    this._synthesis = null;
    this.inSilence();
  }

  _begin(letters) {
    this._moveTo(letters);
    const ticker = setInterval(() => this._tick(), TICK_MS);
    this._timers.push(() => clearInterval(ticker));
  }

  _moveTo(letters) {
    this._from = letters;
    this._since = performance.now();
  }

  _tick() {
    const letters = this._letters();
    this._onMouth(shapeOf(this._text, letters));
    this._onProgress(letters);
  }

  _letters() {
    if (!this._since) return 0;
    const said_s = (performance.now() - this._since) / 1000;
    const letters = this._from + Math.floor(said_s * LETTERS_PER_S);
    return Math.min(letters, this._text.length);
  }

  _after(ms, act) {
    const timer = setTimeout(act, ms);
    this._timers.push(() => clearTimeout(timer));
  }

  _clear() {
    this._timers.splice(0).forEach((stop) => stop());
  }
}
