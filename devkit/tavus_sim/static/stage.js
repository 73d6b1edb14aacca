//
// This file is part of TEN Framework, an open source project.
// Licensed under the Apache License, Version 2.0.
// See the LICENSE file for more information.
//
// What one sees of a room: the face, captions, controls, the end.

import { Face } from "./face.js";

const byId = (id) => document.getElementById(id);

export class Stage {
  constructor() {
    this.face = new Face(byId("face"));
  }

  /**
   * @param {object} on
   * @param {(text: string) => void} on.say
   * @param {(name: string, on: boolean) => void} on.turn
   * @param {() => void} on.leave
   */
  listen({ say, turn, leave }) {
    byId("form").addEventListener("submit", (event) => {
      event.preventDefault();
      const text = byId("say").value.trim();
      byId("say").value = "";
      if (text) say(text);
    });
    for (const name of ["microphone", "camera"]) {
      const button = byId(name);
      const isOn = () => button.getAttribute("aria-pressed") === "true";
      button.addEventListener("click", () => turn(name, !isOn()));
    }
    byId("leave").addEventListener("click", leave);
  }

  /** Whose room it is. */
  introduce(view) {
    document.title = `${view.conversation_name} (simulated)`;
    const { classList, dataset } = document.body;
    classList.toggle("greenscreen", view.apply_greenscreen);
    classList.toggle("audio-only", view.audio_only);
    dataset.look = lookOf(view.replica_id);
    byId("name").textContent = view.replica_name;
    byId("caption").lang = view.language;
  }

  /** The page around this room has controls of its own. */
  framed() {
    document.body.classList.add("framed");
  }

  /** @param {"waiting" | "live" | "closed"} state */
  state(state, text = "") {
    document.body.dataset.state = state;
    this.status(text);
    byId("say").disabled = byId("send").disabled = state !== "live";
  }

  status(text) {
    byId("status").textContent = text;
  }

  speaking(speaking) {
    document.body.classList.toggle("speaking", speaking);
    if (speaking) byId("caption").textContent = "";
  }

  /**
   * @param {string} text all that is to be said
   * @param {number} letters how far it has come
   * @param {boolean} silent whether no voice says it
   */
  caption(text, letters, silent) {
    const rest = document.createElement("span");
    rest.className = "to-come";
    rest.textContent = text.slice(letters);
    byId("caption").replaceChildren(text.slice(0, letters), rest);
    // Who cannot see a silent speech gets it read out, once and whole.
    const heard = byId("spoken");
    if (silent && heard.textContent !== text) heard.textContent = text;
  }

  turned(name, on) {
    byId(name).setAttribute("aria-pressed", String(on));
    if (name === "microphone") byId("meter").hidden = !on;
  }

  /** @param {?MediaStream} stream */
  selfView(stream) {
    byId("self").srcObject = stream;
    byId("self").hidden = !stream;
  }

  level(level) {
    this.face.listen(level);
    byId("meter").value = level;
  }

  close(title, detail) {
    this.face.stop();
    byId("over-title").textContent = title;
    byId("over-detail").textContent = detail;
    byId("over").hidden = false;
    byId("dock").hidden = true;
    this.state("closed");
  }
}

/** One of four looks, always the same for a face; it suits the stock ones. */
function lookOf(replicaId) {
  let sum = 0;
  for (const letter of replicaId) {
    sum = (sum * 137 + letter.charCodeAt(0)) % 1009;
  }
  return String(sum % 4);
}
