//
// This file is part of TEN Framework, an open source project.
// Licensed under the Apache License, Version 2.0.
// See the LICENSE file for more information.
//
// The app messages that Tavus sends into a room (docs.tavus.io,
// "Interactions protocols"; the speaking events under both of their names).

export const REPLICA = "replica";
export const USER = "user";

export class Events {
  /**
   * @param {string} conversationId
   * @param {(message: object) => void} send
   */
  constructor(conversationId, send) {
    this._conversationId = conversationId;
    this._send = send;
    this._seq = 0;
  }

  system(name, properties) {
    this._emit("system", `system.${name}`, {}, properties);
  }

  startedSpeaking(role, turn) {
    this._conversation("started_speaking", turn, { role });
    this._conversation(`${role}.started_speaking`, turn);
  }

  stoppedSpeaking(role, turn, { duration, interrupted = false }) {
    const end = { duration, interrupted };
    this._conversation("stopped_speaking", turn, { role, ...end });
    // The user's old event has no properties.
    const old = role === REPLICA ? end : undefined;
    this._conversation(`${role}.stopped_speaking`, turn, old);
  }

  /** `speech` is all that was said so far in this turn. */
  utteranceStreaming(role, turn, { speech, index, final, interrupted }) {
    const properties = { role, speech, content_index: index, final };
    if (role === REPLICA) properties.is_interrupted = Boolean(interrupted);
    this._conversation("utterance.streaming", turn, properties);
  }

  utterance(role, turn, speech, interrupted = false) {
    const properties = { role, speech };
    if (interrupted) properties.interrupted = true;
    this._conversation("utterance", turn, properties);
  }

  toolCall(turn, { name, args, toolCallId }) {
    const properties = { name, arguments: args, tool_call_id: toolCallId };
    this._conversation("tool_call", turn, properties);
  }

  perceptionToolCall(turn, { name, args }, frames) {
    const properties = { modality: "vision", name, arguments: args, frames };
    this._conversation("perception_tool_call", turn, properties);
  }

  _conversation(name, { inferenceId, index }, properties) {
    const turn = { inference_id: inferenceId, turn_idx: index };
    this._emit("conversation", `conversation.${name}`, turn, properties);
  }

  _emit(messageType, eventType, turn, properties) {
    this._send({
      message_type: messageType,
      event_type: eventType,
      conversation_id: this._conversationId,
      timestamp: Date.now() / 1000,
      seq: ++this._seq,
      ...turn,
      ...(properties && { properties }),
    });
  }
}
