//
// This file is part of TEN Framework, an open source project.
// Licensed under the Apache License, Version 2.0.
// See the LICENSE file for more information.
//
// Turns: who speaks, what about, and the app messages that tell of it.

import { answerTo, greeting, toolAnswer, UNHEARD } from "./answers.js";
import { REPLICA, USER } from "./events.js";
import { PcmPlayback } from "./pcm.js";
import { snapshot } from "./snapshot.js";

const STREAM_LETTERS = 24; // at least so much is new in a streamed utterance

export class Talk {
  /**
   * @param {object} room
   * @param {import("./events.js").Events} room.events
   * @param {import("./voice.js").Voice} room.voice
   * @param {object} room.view what the simulator knows of the conversation
   * @param {(shape: object) => void} room.onMouth
   * @param {(speaking: boolean) => void} room.onSpeaking
   * @param {(text: string, letters: number) => void} room.onCaption
   * @param {() => boolean} room.cameraOn
   */
  constructor(room) {
    this._room = room;
    this._events = room.events;
    this._context = room.view.conversational_context ?? "";
    this._turns = 0;
    this._queue = []; // what the face has still to say
    this._current = null;
    this._cut = new Set(); // utterances that are still being sent, in vain
    this._texts = new Map(); // echoed text that is not complete
    this._toolCalls = new Set();
    this._userTurn = null; // while the person speaks
    this._userSince = 0;
    this._unheard = false;
    this.interrupt_ms = 500; // of the person's speech, and the face stops
  }

  greet() {
    const text = greeting(this._room.view);
    if (text) this._say(text, this._turn());
  }

  /** Something the person typed. */
  typed(text) {
    const turn = this._turn();
    this._events.startedSpeaking(USER, turn);
    this._events.stoppedSpeaking(USER, turn, { duration: 0 });
    this._heard(text, turn);
  }

  /** The person's microphone hears speech, or no longer. */
  spoken(speaking, for_ms) {
    if (speaking && !this._userTurn) {
      this._userTurn = this._turn();
      this._events.startedSpeaking(USER, this._userTurn);
    }
    if (speaking && for_ms >= this.interrupt_ms) this.interrupt();
    if (!speaking && this._userTurn) {
      const duration = seconds(for_ms);
      this._events.stoppedSpeaking(USER, this._userTurn, { duration });
      if (!this._unheard) this._say(UNHEARD, this._userTurn);
      this._unheard = true;
      this._userTurn = null;
    }
  }

  /**
   * Does what an app message wants; the simulator has checked it.
   * @param {object} message
   * @param {?string} inferenceId as Tavus writes the one in the message
   */
  obey({ event_type, properties = {} }, inferenceId) {
    switch (event_type) {
      case "conversation.echo":
        return this._echo(properties, inferenceId ?? uuid());
      case "conversation.respond":
        return this._heard(properties.text, this._turn());
      case "conversation.interrupt":
        return this.interrupt();
      case "conversation.overwrite_llm_context":
        this._context = properties.context;
        return;
      case "conversation.append_llm_context":
        this._context = `${this._context}\n${properties.context}`.trim();
        return;
      case "conversation.tool_result":
        return this._toolResult(properties);
    }
  }

  /** Makes the face silent, whatever it was about to say. */
  interrupt() {
    this._queue.splice(0).forEach(({ turn }) => this._cut.add(turn.inferenceId));
    if (!this._current) return;
    this._cut.add(this._current.turn.inferenceId);
    this._current.playback?.stop();
    this._room.voice.stop();
  }

  _heard(text, turn) {
    this.interrupt();
    const whole = { speech: text, index: 0, final: true };
    this._events.utteranceStreaming(USER, turn, whole);
    this._events.utterance(USER, turn, text);
    if (this._room.view.pipeline_mode === "echo") return;
    const camera = this._room.cameraOn();
    const answer = answerTo(text, { context: this._context, camera });
    if (answer.tool) {
      const toolCallId = `call_${uuid().slice(0, 8)}`;
      this._toolCalls.add(toolCallId);
      this._events.toolCall(turn, { ...answer.tool, toolCallId });
    }
    if (answer.look)
      this._events.perceptionToolCall(turn, answer.look, [snapshot()]);
    if (answer.say) this._say(answer.say, turn);
  }

  _toolResult(result) {
    if (this._toolCalls.delete(result.tool_call_id)) {
      this._say(toolAnswer(result), this._turn(0));
    } else {
      console.warn("room: a result for no tool call of this room");
    }
  }

  _echo(properties, inferenceId) {
    if (this._cut.has(inferenceId)) return;
    const turn = { index: this._turns, inferenceId };
    if (properties.modality === "audio") {
      this._echoAudio(properties, turn);
      return;
    }
    const text = (this._texts.get(inferenceId) ?? "") + properties.text;
    if (properties.done ?? true) {
      this._texts.delete(inferenceId);
      if (text) this._say(text, turn);
    } else {
      this._texts.set(inferenceId, text);
    }
  }

  _echoAudio({ audio, sample_rate = 16000, done = false }, turn) {
    const piece = [audio, sample_rate, done];
    const jobs = [this._current, ...this._queue];
    const job = jobs.find(
      (each) => each?.pieces && each.turn.inferenceId === turn.inferenceId,
    );
    if (job?.playback) {
      job.playback.push(...piece);
    } else if (job) {
      job.pieces.push(piece);
    } else {
      this._enqueue({ turn, pieces: [piece] });
    }
  }

  _say(text, turn) {
    this._enqueue({ turn, text });
  }

  async _enqueue(job) {
    this._queue.push(job);
    if (this._current) return;
    while ((this._current = this._queue.shift() ?? null)) {
      await this._speak(this._current);
    }
  }

  async _speak(job) {
    const since = performance.now();
    this._events.startedSpeaking(REPLICA, job.turn);
    this._room.onSpeaking(true);
    const { interrupted } = await (job.pieces
      ? this._play(job)
      : this._speakText(job));
    this._room.onSpeaking(false);
    const duration = seconds(performance.now() - since);
    const end = { duration, interrupted };
    this._events.stoppedSpeaking(REPLICA, job.turn, end);
    if (job.text) {
      // All of the text, even if it was cut: so does Tavus.
      this._events.utterance(REPLICA, job.turn, job.text, interrupted);
    }
  }

  async _speakText({ text, turn }) {
    let index = 0;
    let streamed = 0;
    const stream = (letters, more) => {
      streamed = letters;
      const speech = text.slice(0, letters);
      const piece = { speech, index: index++, ...more };
      this._events.utteranceStreaming(REPLICA, turn, piece);
    };
    const { language } = this._room.view;
    const result = await this._room.voice.say(text, language, (letters) => {
      this._room.onCaption(text, letters);
      const wholeWord = letters < text.length && text[letters] === " ";
      if (wholeWord && letters - streamed >= STREAM_LETTERS) {
        stream(letters, { final: false });
      }
    });
    const { letters, interrupted } = result;
    stream(letters, { final: true, interrupted });
    return result;
  }

  _play(job) {
    return new Promise((resolve) => {
      job.playback = new PcmPlayback(this._room.onMouth, resolve);
      job.pieces.forEach((piece) => job.playback.push(...piece));
    });
  }

  _turn(step = 1) {
    this._turns += step;
    return { index: this._turns, inferenceId: uuid() };
  }
}

function seconds(ms) {
  return Math.round(ms) / 1000;
}

// crypto.randomUUID is only there on https and localhost.
function uuid() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0"));
  return hex.join("").replace(/(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}
